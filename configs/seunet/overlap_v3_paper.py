# overlap_v3.py at the published size (sparseseunet table 5.3).
_base_ = ["./overlap_v4_paper.py"]
train_pipeline = [*_base_.with_targets, dict(type="ProximityMap", kind="v3"), dict(type="PackCellInputs")]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
