# Overlap guided by the map of borders (sparseseunet 4.3): overlap is unlikely, and costs more, where P is
# low.
_base_ = ["./overlap.py"]
with_targets = [
    *_base_.before_targets,
    dict(type="SemanticTargets", targets=("cytoplasm", "overlap")),
]
train_pipeline = [*with_targets, dict(type="ProximityMap", kind="v4"), dict(type="PackCellInputs")]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
model = dict(heads=dict(overlap=dict(loss=dict(type="ProximityFocalLoss"))))
