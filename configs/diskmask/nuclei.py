# Nuclei of any modality, scaled so that nuclei are 28 pixels across, on a CPU.
_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/models/diskmask_cpu.py",
    "../_base_/datasets/dsb2018.py",
    "../_base_/schedules/cpu.py",
]
max_iters = 4600
model = dict(
    data_preprocessor=dict(in_channels=3),
    cell_size=dict(type="DiameterFinder", diameter=_base_.diameter),
    # nuclei are small at this scale: one level less, wider where it costs little
    encoder=dict(widths=(24, 48, 80, 128, 160)),
    decoder=dict(widths=(32, 48, 80, 128)),
    heads=dict(
        instances=dict(
            # score_thr here and below, and nms: chosen on the validation images
            finder=dict(radius=2.0, score_thr=0.65),
            sampler=dict(num_gates=10, radius=3),
            windows=dict(size=48),
            # nuclei hardly overlap
            test_cfg=dict(score_thr=0.35, nms=dict(type="MaskNMS", iou_thr=0.2)),
        )
    ),
)
train_pipeline = [
    _base_.load,
    dict(type="LoadCells", cache=True),
    _base_.normalize,
    # the size is not known exactly when predicting, and nuclei of an image differ
    dict(type="RescaleToDiameter", diameter=_base_.diameter, scale=(0.6, 1.6)),
    dict(_base_.warp, size=(176, 176), min_area=8),
    # stronger changes hide how bright the edge of a nucleus is
    dict(_base_.intensity, gamma=0.2, blur=0.5),
    # border=0: nuclei at the edge of an image count too
    dict(type="ReferencePoints", kind="inside", stride=2, border=0),
    dict(type="DiskTargets", radius=3, disk_weight=8.0, between_reach=3),
    dict(type="PackCellInputs"),
]
train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type="DrawSampler", shuffle=True),
    dataset=dict(
        _base_.dataset,
        ann_file="instances_train.json",
        # drawn twice as often, and six times
        indices=[*range(399), *_base_.rare, *_base_.wide * 5],
        pipeline=train_pipeline,
    ),
)
optim_wrapper = dict(type="AmpOptimWrapper", dtype="auto")
param_scheduler = [
    dict(type="LinearLR", start_factor=0.02, by_epoch=False, begin=0, end=100),
    dict(type="CosineAnnealingLR", eta_min=1e-6, by_epoch=False, begin=100, end=max_iters),
]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
