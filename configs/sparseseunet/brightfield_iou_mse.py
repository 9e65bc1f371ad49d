# Multi-level with IoU-aware objectness, by mean squared error (sparseseunet 5.7.3, eq. 5.2, 5.3, table 5.10),
# at the published size.
_base_ = ["./brightfield_multi_level.py"]
model = dict(heads=dict(instances=dict(objectness=dict(type="IoUObjectness"))))
