# Real worms on one GPU: the CPU recipe's form at twice the width, masks at full resolution, a long run.
# Written for a GPU of 24 GB or more; not trained yet (docs/model_zoo.md says what was).
_base_ = ["./bbbc010_cpu.py"]
max_iters = 30_000  # batches of 8: 4,800 times each of the 50 wells
model = dict(
    encoder=dict(widths=(48, 64, 128, 192, 256, 320), stem_stride=1),
    decoder=dict(widths=(64, 64, 128, 192, 256)),
    heads=dict(
        instances=dict(
            num_queries=50,
            feature_dim=256,
            num_refine=3,
            instance_branch=dict(channels=96, depth=4, level=2),
            mask_branch=dict(channels=96, depth=4, mask_dim=64, match_level=2),
        )
    ),
)
train_dataloader = dict(batch_size=8, num_workers=8)
optim_wrapper = dict(optimizer=dict(lr=5e-4))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.02, by_epoch=False, begin=0, end=500),
    dict(type="CosineAnnealingLR", eta_min=1e-6, by_epoch=False, begin=500, end=max_iters),
]
train_cfg = dict(max_iters=max_iters, val_interval=3000)
default_hooks = dict(checkpoint=dict(interval=1000))
