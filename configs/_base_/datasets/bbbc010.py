# BBBC010 C. elegans wells, 50 to train, 47 to test. Put the data into data/bbbc010 (docs/how_to/bbbc010.md)
# or set CELLMM_DATA to the folder that holds it.
data_root = "{{$CELLMM_DATA:data}}/bbbc010"
# every worm lies in the well: rows 56 to 504, columns 120 to 568
well = dict(type="CropRegion", y0=56, x0=120, y1=504, x1=568)
normalize = dict(type="Normalize", mode="median_std")

train_pipeline = [
    dict(type="LoadImage"),
    dict(type="LoadCells", cache=True),
    well,
    normalize,
    dict(
        type="Albumentations",
        transforms=[
            dict(type="HorizontalFlip", p=0.5),
            # a well has no up: any angle; what comes in at the corners is dark like its frame (a mirrored
            # border would show worms twice)
            dict(
                type="Affine",
                rotate=(-180, 180),
                scale=(0.85, 1.15),
                translate_px=(-16, 16),
                border_mode=0,
                fill=-2.5,
                p=1.0,
            ),
            dict(type="ElasticTransform", alpha=600, sigma=24, border_mode=0, fill=-2.5, p=0.5),
        ],
        min_area=60,  # what is left of a worm at the edge of the crop
    ),
    dict(type="RandomIntensity", brightness=0.2, contrast=0.2, noise=0.1),
    dict(type="PackCellInputs"),
]
test_pipeline = [
    dict(type="LoadImage"),
    dict(type="LoadCells", keep_original=True),
    well,
    normalize,
    dict(type="PackCellInputs"),
]
train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type="DrawSampler", shuffle=True),
    dataset=dict(type="BBBC010Dataset", data_root=data_root, split="train", pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="BBBC010Dataset", data_root=data_root, split="test", test_mode=True, pipeline=test_pipeline
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type="CellCocoMetric")
test_evaluator = val_evaluator
