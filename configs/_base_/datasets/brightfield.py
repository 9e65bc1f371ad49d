# Two brightfield focal planes, below and above focus, as two channels (sparseseunet 4.1): 18 images to train,
# 5 to validate, 5 to test. Put your own images into data/brightfield in the same format
# (docs/how_to/own_data.md); where that folder, and no other, is missing, simulated ones are made there once.
_base_ = ["./augmentation.py"]
data_root = "data/brightfield"
simulation = dict(folder=data_root, splits=dict(train=18, val=5, test=5), seed=0)
# class_agnostic: all categories of a file are cells
dataset = dict(type="SimulatedDataset", data_root=data_root, simulation=simulation, class_agnostic=True)
# 1024x1024 px to 512x512, as the thesis rescales all images; for images of 1080 px that is factor=512 / 1080.
# Cells keep their scale in images of any size: give larger ones to `cellmm predict --tile 512`
rescale = dict(type="Rescale", factor=0.5)
normalize = dict(type="Normalize", mode="mean_std")  # ours

train_pipeline = [
    dict(type="LoadImage", z="channels"),
    dict(type="LoadCells"),
    rescale,
    normalize,
    _base_.augmentation,
    dict(type="PackCellInputs"),
]
test_pipeline = [
    dict(type="LoadImage", z="channels"),
    dict(type="LoadCells", keep_original=True),
    rescale,
    normalize,
    dict(type="PackCellInputs"),
]
train_dataloader = dict(
    batch_size=2,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type="DrawSampler", shuffle=True),
    dataset=dict(dataset, split="train", pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(dataset, split="val", test_mode=True, pipeline=test_pipeline),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=1,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(dataset, split="test", test_mode=True, pipeline=test_pipeline),
)
val_evaluator = dict(type="CellCocoMetric")
test_evaluator = val_evaluator
