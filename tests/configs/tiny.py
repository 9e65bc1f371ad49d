# The smallest training that has everything; its children say where the data are.
_base_ = ["../../configs/sparseseunet/brightfield_quickstart.py"]
loader = dict(num_workers=0, persistent_workers=False)
train_dataloader = dict(batch_size=2, **loader)
val_dataloader = loader
test_dataloader = loader
model = dict(
    encoder=dict(widths=(4, 4, 4)),
    decoder=dict(widths=(4, 4)),
    heads=dict(
        instances=dict(
            num_queries=16,
            feature_dim=8,
            instance_branch=dict(channels=4, depth=1),
            mask_branch=dict(channels=4, depth=1, mask_dim=4),
            test_cfg=dict(score_thr=0.0),
        )
    ),
)
train_cfg = dict(max_iters=4, val_interval=4)
default_hooks = dict(checkpoint=dict(interval=2), logger=dict(interval=1))
custom_hooks = [dict(type="EMAHook", momentum=0.01, update_buffers=True)]
