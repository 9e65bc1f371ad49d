# Your own two-plane images in data/brightfield on two CPU cores: the network of the quick start, at half the
# size of the images, about an hour. Written for users without a GPU; not measured yet.
_base_ = ["./brightfield_quickstart.py"]
data_root = "data/brightfield"
simulation = dict(_delete_=True, folder=data_root, splits=dict(train=18, val=5, test=5), seed=0)
max_iters = 2000

normalize = dict(type="Normalize", mode="mean_std")
rescale = dict(type="Rescale", factor=0.5)  # as in brightfield.py
train_pipeline = [
    dict(type="LoadImage"),
    dict(type="LoadCells", cache=True),
    rescale,
    normalize,
    _base_.flips,
    dict(type="RandomIntensity", brightness=0.2, contrast=0.2, noise=0.1),
    dict(type="PackCellInputs"),
]
test_pipeline = [
    dict(type="LoadImage"),
    dict(type="LoadCells", keep_original=True),
    rescale,
    normalize,
    dict(type="PackCellInputs"),
]
train_dataloader = dict(dataset=dict(data_root=data_root, simulation=simulation, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(data_root=data_root, simulation=simulation, pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(data_root=data_root, simulation=simulation, pipeline=test_pipeline))
model = dict(heads=dict(instances=dict(num_queries=100)))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.02, by_epoch=False, begin=0, end=50),
    dict(type="CosineAnnealingLR", eta_min=1e-6, by_epoch=False, begin=50, end=max_iters),
]
train_cfg = dict(max_iters=max_iters, val_interval=500)
default_hooks = dict(checkpoint=dict(interval=500))
