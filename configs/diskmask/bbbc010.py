# Real worms on one GPU: the CPU recipe's form at twice the width and at full resolution, a longer run.
# Written for a GPU of 24 GB or more; not trained yet (docs/model_zoo.md says what was).
_base_ = ["./bbbc010_cpu.py"]
max_iters = 40_000  # batches of 4: 3,500 times each of the 45 wells
model = dict(
    encoder=dict(widths=(48, 64, 128, 192, 256, 320), stem_stride=1),
    decoder=dict(widths=(64, 64, 128, 192, 256)),
    heads=dict(
        instances=dict(
            feature_channels=64,
            mask_decoder=dict(widths=(48, 64, 96, 128, 160)),
            finder=dict(radius=6.0),
            sampler=dict(num_gates=8, radius=8),
            windows=dict(size=192),
        )
    ),
)
train_pipeline = [
    dict(type="LoadImage"),
    dict(type="LoadCells", cache=True),
    dict(type="CropRegion", y0=56, x0=120, y1=504, x1=568),
    dict(type="Normalize", mode="median_std"),
    dict(
        type="RandomWarp",
        rotate=(-180, 180),
        scale=(0.8, 1.25),
        shift=16,
        elastic_spacing=64,
        elastic_magnitude=4.0,
        min_area=60,
    ),
    dict(type="RandomIntensity", brightness=0.3, contrast=0.3, noise=0.15),
    dict(type="ReferencePoints", kind="medial", step=2, min_distance=12.0),
    dict(type="DiskTargets", radius=8, disk_weight=8.0, between_reach=8),
    dict(type="PackCellInputs"),
]
train_dataloader = dict(batch_size=4, num_workers=8, dataset=dict(pipeline=train_pipeline))
optim_wrapper = dict(optimizer=dict(lr=5e-4))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.02, by_epoch=False, begin=0, end=500),
    dict(type="CosineAnnealingLR", eta_min=1e-6, by_epoch=False, begin=500, end=max_iters),
]
train_cfg = dict(max_iters=max_iters, val_interval=4000)
default_hooks = dict(checkpoint=dict(interval=1000))
