# Overlap guided by the map of nuclei and overlaps, merged (sparseseunet 5.4, figure 5.2).
_base_ = ["./overlap_v4.py"]
train_pipeline = [*_base_.with_targets, dict(type="ProximityMap", kind="v3"), dict(type="PackCellInputs")]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
