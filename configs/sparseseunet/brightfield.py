# The thesis' recipe on two brightfield planes, 512x512, N = 100 (sparseseunet 5.7): for a GPU with memory.
# What the thesis leaves open is marked "ours" here and in the files that this one takes.
_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/models/sparseseunet.py",
    "../_base_/datasets/brightfield.py",
    "../_base_/schedules/thesis.py",
]
model = dict(data_preprocessor=dict(in_channels=2))
default_hooks = dict(checkpoint=dict(interval=900, save_best="AP", rule="greater"))
