# Your own two-plane images in data/brightfield on two CPU cores: the network of
# sparseseunet/brightfield_quickstart.py, at half the size of the images, about an hour. Written for users
# without a GPU; not measured yet.
_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/models/sparseseunet_cpu.py",
    "../_base_/datasets/brightfield.py",
    "../_base_/schedules/cpu.py",
]
max_iters = 2000
train_pipeline = [
    dict(type="LoadImage", z="channels"),
    dict(type="LoadCells", cache=True),
    _base_.rescale,
    _base_.normalize,
    _base_.flips,
    dict(type="RandomIntensity", brightness=0.2, contrast=0.2, noise=0.1),
    dict(type="PackCellInputs"),
]
train_dataloader = dict(batch_size=4, num_workers=1, dataset=dict(pipeline=train_pipeline))
model = dict(data_preprocessor=dict(in_channels=2))
optim_wrapper = dict(type="AmpOptimWrapper", dtype="auto")
param_scheduler = [
    dict(type="LinearLR", start_factor=0.02, by_epoch=False, begin=0, end=50),
    dict(type="CosineAnnealingLR", eta_min=1e-6, by_epoch=False, begin=50, end=max_iters),
]
train_cfg = dict(max_iters=max_iters, val_interval=500)
