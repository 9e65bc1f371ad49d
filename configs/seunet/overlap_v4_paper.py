# Overlap guided by the map of borders, at the published size (sparseseunet 4.3, table 5.3).
_base_ = ["./overlap_paper.py"]
with_targets = [
    *_base_.before_targets,
    dict(type="SemanticTargets", targets=("cytoplasm", "overlap")),
]
train_pipeline = [*with_targets, dict(type="ProximityMap", kind="v4"), dict(type="PackCellInputs")]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
model = dict(heads=dict(overlap=dict(loss=dict(type="ProximityFocalLoss"))))
