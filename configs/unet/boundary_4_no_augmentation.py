# Boundaries 4 px wide, learned from the images as they are: crops without turns, bends or other intensities.
_base_ = ["./boundary_4.py"]
train_pipeline = [
    _base_.load,
    dict(type="LoadCells", cache=True),
    _base_.normalize,
    dict(type="RescaleToDiameter", diameter=_base_.diameter),
    dict(type="RandomWarp", size=(160, 160), centre="uniform", rotate=(0, 0), flip=0.0, min_area=4),
    dict(type="SemanticTargets", targets=("cytoplasm",)),
    dict(type="BoundaryTargets", width=4),
    _base_.weights,
    dict(type="PackCellInputs"),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
