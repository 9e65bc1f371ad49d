# BBBC010 for models that find worms by gateways: 45 of the 50 training wells to train, 5 to validate and to
# calibrate, 47 to test. The data: docs/how_to/bbbc010.md.
_base_ = ["./bbbc010.py"]
train_pipeline = [
    dict(type="LoadImage"),
    dict(type="LoadCells", cache=True),
    dict(type="CropRegion", y0=56, x0=120, y1=504, x1=568),
    dict(type="Normalize", mode="median_std"),
    # a well has no up: any angle
    dict(
        type="RandomWarp",
        rotate=(-180, 180),
        scale=(0.85, 1.2),
        shift=16,
        elastic_spacing=64,
        elastic_magnitude=3.0,
        min_area=60,
    ),
    dict(type="RandomIntensity", brightness=0.2, contrast=0.2, noise=0.1),
    # the middle of the worm's own axis: centroids of worms that cross fall together
    dict(type="ReferencePoints", kind="medial", stride=2, min_distance=12.0),
    dict(type="DiskTargets", radius=4, disk_weight=8.0, between_reach=4),
    dict(type="PackCellInputs"),
]
validation_wells = [4, 14, 24, 34, 44]
train_dataloader = dict(
    batch_size=2,
    dataset=dict(pipeline=train_pipeline, indices=[i for i in range(50) if i % 10 != 4]),
)
val_dataloader = dict(dataset=dict(split="train", indices=validation_wells))
