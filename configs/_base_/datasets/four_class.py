# Stained cells of four types, RGB: a folder per image with image.tif and class1.tif to class4.tif
# (docs/how_to/several_classes.md). The set is simulated once, into the folder below. Put your own there in
# the same layout, or set data_root; classes are the names of class1 to class4.
_base_ = ["./augmentation.py"]
data_root = "data/four_class"
simulation = dict(folder=data_root, splits=dict(train=160, val=24, test=32), scene="stained", seed=0)
classes = ("round", "elongated", "textured", "large")
dataset = dict(
    type="SimulatedClassesDataset",
    data_root=data_root,
    simulation=simulation,
    metainfo=dict(classes=classes),
    allow_empty=True,  # some images hold no cell
)

before_targets = [
    dict(type="LoadImage", color="rgb"),
    dict(type="LoadCells", cache=True),
    dict(type="Normalize", mode="mean_std"),
    _base_.flips,
]
train_pipeline = [*before_targets, dict(type="PackCellInputs")]
test_pipeline = [
    dict(type="LoadImage", color="rgb"),
    dict(type="LoadCells", keep_original=True),
    dict(type="Normalize", mode="mean_std"),
    dict(type="PackCellInputs"),
]
train_dataloader = dict(
    batch_size=4,
    num_workers=1,
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
