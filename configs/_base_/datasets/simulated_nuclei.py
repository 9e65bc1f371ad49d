# Small simulated scenes with their nuclei, two brightfield planes of 256x256 px: the images of
# sparseseunet/brightfield_quickstart.py, and what each pixel of them shows.
_base_ = ["./augmentation.py"]
data_root = "data/simulated_nuclei"
simulation = dict(
    folder=data_root, splits=dict(train=160, val=16, test=32), scene="small", seed=0, extra_modalities=True
)
dataset = dict(
    type="SimulatedDataset", data_root=data_root, simulation=simulation, nuclei=True, class_agnostic=True
)
targets = ("cytoplasm", "nuclei", "border", "background", "overlap")

before_targets = [
    dict(type="LoadImage"),
    dict(type="LoadCells"),
    dict(type="LoadNuclei"),
    dict(type="Normalize", mode="mean_std"),
    _base_.flips,
]
train_pipeline = [
    *before_targets,
    dict(type="SemanticTargets", targets=targets),
    dict(type="PackCellInputs"),
]
test_pipeline = [
    dict(type="LoadImage"),
    dict(type="LoadCells", keep_original=True),
    dict(type="LoadNuclei", keep_original=True),
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
