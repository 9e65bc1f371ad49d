# Real worms on two CPU cores in about an hour.
_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/models/sparseseunet_cpu.py",
    "../_base_/datasets/bbbc010.py",
    "../_base_/schedules/cpu.py",
]
model = dict(heads=dict(instances=dict(num_queries=40)))  # at most 15 worms in a well
optim_wrapper = dict(type="AmpOptimWrapper", dtype="auto")
