# Small simulated scenes of two brightfield planes, 256x256 px: 160 images to train, 16 to validate, 32 to
# test. They are generated once, into the folder below.
_base_ = ["./augmentation.py"]
data_root = "data/brightfield_quickstart"
simulation = dict(folder=data_root, splits=dict(train=160, val=16, test=32), scene="small", seed=0)
dataset = dict(type="SimulatedDataset", data_root=data_root, simulation=simulation, class_agnostic=True)

before_targets = [
    dict(type="LoadImage", z="channels"),
    dict(type="LoadCells", cache=True),
    dict(type="Normalize", mode="mean_std"),
    _base_.flips,
]
train_pipeline = [*before_targets, dict(type="PackCellInputs")]
test_pipeline = [
    dict(type="LoadImage", z="channels"),
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
