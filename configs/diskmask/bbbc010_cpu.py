# Real worms on two CPU cores over lunch: gateways in the middle of the worms' long axes, each decoded in a
# window of 192 pixels.
_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/models/diskmask_cpu.py",
    "../_base_/datasets/bbbc010_gateways.py",
    "../_base_/schedules/cpu.py",
]
max_iters = 6000
optim_wrapper = dict(type="AmpOptimWrapper", dtype="auto")
param_scheduler = [
    dict(type="LinearLR", start_factor=0.02, by_epoch=False, begin=0, end=100),
    dict(type="CosineAnnealingLR", eta_min=1e-6, by_epoch=False, begin=100, end=max_iters),
]
train_cfg = dict(max_iters=max_iters, val_interval=1000)
