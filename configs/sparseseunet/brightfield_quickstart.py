# SparseSEUNet on small simulated scenes, in minutes on two CPU cores.
_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/models/sparseseunet_cpu.py",
    "../_base_/datasets/brightfield_small.py",
    "../_base_/schedules/cpu_short.py",
]
model = dict(data_preprocessor=dict(in_channels=2), heads=dict(instances=dict(num_queries=64)))
