# Two brightfield planes, 512x512, N = 100, in float32. Written for a GPU; not trained yet.
_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/models/queryseunet.py",
    "../_base_/datasets/brightfield.py",
    "../_base_/schedules/cpu.py",
]
max_iters = 20_000
model = dict(data_preprocessor=dict(in_channels=2))
optim_wrapper = dict(optimizer=dict(lr=2e-4))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.02, by_epoch=False, begin=0, end=500),
    dict(type="CosineAnnealingLR", eta_min=1e-6, by_epoch=False, begin=500, end=max_iters),
]
train_cfg = dict(max_iters=max_iters, val_interval=1000)
default_hooks = dict(checkpoint=dict(interval=1000, save_best="AP", rule="greater"))
