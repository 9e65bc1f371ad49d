# The decoder for overlap guided by the map of borders (sparseseunet 5.7.1, table 5.9), at the published size.
_base_ = ["./brightfield_overlap.py"]
train_pipeline = [*_base_.with_targets, dict(type="ProximityMap", kind="v4"), dict(type="PackCellInputs")]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
model = dict(heads=dict(overlap=dict(loss=dict(type="ProximityFocalLoss"))))
