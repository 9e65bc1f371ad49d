# Boundaries 8 px wide.
_base_ = ["./boundary_2.py"]
train_pipeline = [
    *_base_.augmented,
    dict(type="SemanticTargets", targets=("cytoplasm",)),
    dict(type="BoundaryTargets", width=8),
    _base_.weights,
    dict(type="PackCellInputs"),
]
model = dict(postprocess=dict(grow=4))
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
