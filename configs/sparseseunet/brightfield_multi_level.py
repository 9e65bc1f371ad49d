# The thesis' best model: branches that fork at every decoder level (sparseseunet 4.5.4), at the published
# size.
_base_ = ["./brightfield.py"]
model = dict(
    decoder=dict(keep_skips=True),
    heads=dict(instances=dict(instance_branch=dict(num_levels=5), mask_branch=dict(num_levels=5))),
)
