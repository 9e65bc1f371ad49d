# Real worms on two CPU cores. Not trained yet.
_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/models/queryseunet_cpu.py",
    "../_base_/datasets/bbbc010.py",
    "../_base_/schedules/cpu.py",
]
model = dict(heads=dict(instances=dict(num_queries=24)))  # at most 15 worms in a well, half as many again
optim_wrapper = dict(type="AmpOptimWrapper", dtype="auto", optimizer=dict(lr=5e-4))
