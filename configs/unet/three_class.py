# Nuclei as three exclusive classes: interior, boundary of 2 px, exterior (nuclei-notes), on a CPU. Images are
# scaled so that nuclei are 24 pixels across, as in configs/diskmask/nuclei.py.
_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/models/unet_cpu.py",
    "../_base_/datasets/dsb2018.py",
    "../_base_/schedules/cpu.py",
]
max_iters = 1800  # half an hour on one core
diameter = 24  # of the median nucleus where it reaches the network, pixels
model = dict(
    cell_size=dict(type="DiameterFinder", diameter=diameter),
    heads=dict(maps=dict(type="SoftmaxHead", subpixel=True, weighted=True)),
    postprocess=dict(type="ClassComponents", grow=1, min_area=60),
)
augmented = [
    _base_.load,
    dict(type="LoadCells", cache=True),
    _base_.normalize,
    dict(type="RescaleToDiameter", diameter=diameter, scale=(0.6, 1.6)),
    dict(_base_.warp, size=(160, 160), min_area=4),
    _base_.intensity,
]
# pixels between nuclei count up to six times as much
weights = dict(type="PixelWeights", w0=5.0, sigma=4.0, balance=False)
train_pipeline = [
    *augmented,
    dict(type="BoundaryTargets", width=2),
    weights,
    dict(type="PackCellInputs"),
]
test_pipeline = [
    _base_.load,
    dict(type="LoadCells", keep_original=True),
    _base_.normalize,
    dict(type="RescaleToDiameter", diameter=diameter),
    dict(type="PackCellInputs"),
]
train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type="DrawSampler", shuffle=True),
    dataset=dict(_base_.dataset, ann_file="instances_train.json", pipeline=train_pipeline),
)
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
optim_wrapper = dict(type="AmpOptimWrapper", dtype="auto", optimizer=dict(lr=2e-3))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.02, by_epoch=False, begin=0, end=100),
    dict(type="CosineAnnealingLR", eta_min=1e-6, by_epoch=False, begin=100, end=max_iters),
]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
