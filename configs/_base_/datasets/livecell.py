# LIVECell (Edlund et al., 2021; CC BY-NC 4.0): phase contrast, 520x704, up to thousands of cells an image.
# Put it into data/livecell or set CELLMM_DATA to the folder that holds livecell/.
data_root = "{{$CELLMM_DATA:data}}/livecell"
normalize = dict(type="Normalize", mode="mean_std")

train_pipeline = [
    dict(type="LoadImage", color="grayscale"),
    dict(type="LoadCells"),
    normalize,
    dict(
        type="Albumentations",
        transforms=[
            # whole images: positions mean the same in training and test
            dict(type="HorizontalFlip", p=0.5),
            dict(type="VerticalFlip", p=0.5),
        ],
        min_area=10,
    ),
    dict(type="RandomIntensity", brightness=0.2, contrast=0.2, noise=0.1),
    dict(type="PackCellInputs"),
]
test_pipeline = [
    dict(type="LoadImage", color="grayscale"),
    dict(type="LoadCells", keep_original=True),
    normalize,
    dict(type="PackCellInputs"),
]
train_dataloader = dict(
    batch_size=4,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type="DrawSampler", shuffle=True),
    dataset=dict(type="LIVECellDataset", data_root=data_root, split="train", pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="LIVECellDataset", data_root=data_root, split="val", test_mode=True, pipeline=test_pipeline
    ),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=2,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="LIVECellDataset", data_root=data_root, split="test", test_mode=True, pipeline=test_pipeline
    ),
)
# small, medium and large as LIVECell has them, in px^2
val_evaluator = dict(type="CellCocoMetric", area_bounds=(324, 961))
test_evaluator = val_evaluator
