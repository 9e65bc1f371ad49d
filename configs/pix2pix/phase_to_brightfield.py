# Phase contrast to two brightfield planes, as published (sparseseunet 4.4.2): for a GPU. The thesis does not
# say how long it trained; the 200 passes of Isola et al. over its 11,808 images would be 2,361,600 steps.
_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/models/pix2pix.py",
    "../_base_/datasets/phase_to_brightfield.py",
]
max_iters = 100_000  # ours
train_cfg = dict(type="IterBasedTrainLoop", max_iters=max_iters, val_interval=5000)
param_scheduler = []
default_hooks = dict(checkpoint=dict(interval=5000))
