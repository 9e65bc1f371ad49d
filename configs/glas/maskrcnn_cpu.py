# Mask R-CNN with a ResNet-18 from random weights, on a CPU, by the optimizer of the CPU configs.
_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/models/maskrcnn_cpu.py",
    "../_base_/datasets/glas.py",
    "../_base_/schedules/cpu.py",
]
max_iters = 2000
model = dict(data_preprocessor=dict(in_channels=3))
train_pipeline = [
    _base_.load,
    dict(type="LoadCells", cache=True),
    _base_.normalize,
    _base_.augmentation,
    _base_.rescale,
    dict(type="RandomIntensity", brightness=0.1, contrast=0.2),  # ours
    dict(type="PackCellInputs"),
]
train_dataloader = dict(
    batch_size=2,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type="DrawSampler", shuffle=True),
    dataset=dict(_base_.dataset, split="train", pipeline=train_pipeline),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.02, by_epoch=False, begin=0, end=100),
    dict(type="CosineAnnealingLR", eta_min=1e-6, by_epoch=False, begin=100, end=max_iters),
]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters // 2)
