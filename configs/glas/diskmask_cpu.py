# DiskMask on glands, on a CPU: a mask per gland, with nothing to be cut apart afterwards.
_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/models/diskmask_cpu.py",
    "../_base_/datasets/glas.py",
    "../_base_/schedules/cpu.py",
]
max_iters = 3000
model = dict(
    data_preprocessor=dict(in_channels=3),
    heads=dict(
        instances=dict(
            sampler=dict(num_gates=6, radius=4),
            # glands are large and do not overlap
            windows=dict(size=160),
            test_cfg=dict(nms=dict(iou_thr=0.3)),
        )
    ),
)
train_pipeline = [
    _base_.load,
    dict(type="LoadCells", cache=True),
    _base_.normalize,
    _base_.augmentation,
    _base_.rescale,
    dict(type="RandomIntensity", brightness=0.1, contrast=0.2),  # ours
    # border=0: glands at the edge of an image count too
    dict(type="ReferencePoints", kind="inside", stride=2, border=0),
    dict(type="DiskTargets", radius=4, disk_weight=8.0, between_reach=4),
    dict(type="PackCellInputs"),
]
train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type="DrawSampler", shuffle=True),
    dataset=dict(_base_.dataset, split="train", pipeline=train_pipeline),
)
optim_wrapper = dict(type="AmpOptimWrapper", dtype="auto")
param_scheduler = [
    dict(type="LinearLR", start_factor=0.02, by_epoch=False, begin=0, end=100),
    dict(type="CosineAnnealingLR", eta_min=1e-6, by_epoch=False, begin=100, end=max_iters),
]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters // 2)
