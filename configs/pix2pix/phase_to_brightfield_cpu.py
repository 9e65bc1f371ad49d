# The same in minutes on a CPU: small simulated scenes, six levels, a fifth of the channels.
_base_ = ["./phase_to_brightfield.py"]
max_iters = 1000
data_root = "data/phase_quickstart"
small = dict(
    data_root=data_root,
    simulation=dict(folder=data_root, splits=dict(train=160, val=16, test=32), scene="small"),
)
model = dict(
    generator=dict(widths=(12, 24, 48, 96, 96, 96)),
    discriminator=dict(widths=(12, 24, 48, 96)),
    window=256,
)
crop = dict(type="RandomCrop", crop_size=(128, 128), allow_negative_crop=True)
train_dataloader = dict(
    batch_size=2, num_workers=1, dataset=dict(small, pipeline=[_base_.load, crop, _base_.pack])
)
val_dataloader = test_dataloader = dict(dataset=small)
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
default_hooks = dict(checkpoint=dict(interval=500))
