# Boundaries 4 px wide, in colour, with mild augmentation and rare tissue drawn more often.
_base_ = ["./boundary_4.py"]
max_iters = 2843  # half an hour on one core
model = dict(data_preprocessor=dict(in_channels=3))
train_pipeline = [
    _base_.load,
    dict(type="LoadCells", cache=True),
    _base_.normalize,
    dict(type="RescaleToDiameter", diameter=_base_.diameter, scale=(0.7, 1.4)),
    dict(_base_.warp, size=(160, 160), min_area=4, elastic_magnitude=0.0),
    dict(_base_.intensity, gamma=0.2, blur=0.5, contrast=0.2, invert=0.0),
    dict(type="SemanticTargets", targets=("cytoplasm",)),
    dict(type="BoundaryTargets", width=4),
    _base_.weights,
    dict(type="PackCellInputs"),
]
train_dataloader = dict(
    dataset=dict(
        # drawn three times as often, and five times
        indices=[*range(399), *_base_.rare * 2, *_base_.wide * 4],
        pipeline=train_pipeline,
    )
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.02, by_epoch=False, begin=0, end=100),
    dict(type="CosineAnnealingLR", eta_min=1e-6, by_epoch=False, begin=100, end=max_iters),
]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
