# Overlap guided by the map of borders, as sparseseunet 4.3 proposes it: the target is y (1 - P), eq. 4.5.
_base_ = ["./overlap.py"]
train_pipeline = [
    *_base_.before_targets,
    dict(type="SemanticTargets", targets=("cytoplasm", "overlap")),
    dict(type="ProximityMap", kind="v4"),
    dict(type="PackCellInputs"),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
model = dict(heads=dict(overlap=dict(loss=dict(form="target"))))
