# The quick start's images and network with branches that fork at every decoder level (sparseseunet 4.5.4).
_base_ = ["./brightfield_quickstart.py"]
model = dict(
    decoder=dict(keep_skips=True),
    heads=dict(instances=dict(instance_branch=dict(num_levels=6), mask_branch=dict(num_levels=6))),
)
