# QuerySEUNet on the small simulated scenes of the quick start, on two CPU cores. Not trained yet.
_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/models/queryseunet_cpu.py",
    "../_base_/datasets/brightfield_small.py",
    "../_base_/schedules/cpu_short.py",
]
model = dict(data_preprocessor=dict(in_channels=2), heads=dict(instances=dict(num_queries=64)))
optim_wrapper = dict(optimizer=dict(lr=5e-4))
