# Nuclei by their boundaries, 2 px wide, and a map of all nuclei, which tells the background
# (nuclei-notes have the boundaries alone).
_base_ = ["./three_class.py"]
train_pipeline = [
    *_base_.augmented,
    dict(type="SemanticTargets", targets=("cytoplasm",)),
    dict(type="BoundaryTargets", width=2),
    _base_.weights,
    dict(type="PackCellInputs"),
]
model = dict(
    heads=dict(
        _delete_=True,
        boundary=dict(type="SemanticHead", target="boundary", subpixel=True, weighted=True),
        cytoplasm=dict(type="SemanticHead", target="cytoplasm", subpixel=True),
    ),
    postprocess=dict(_delete_=True, type="BoundaryComponents", grow=1, min_area=60),
)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
