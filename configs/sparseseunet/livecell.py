# LIVECell on one GPU. The thesis had 100 queries and crops of at most 90 cells; matching and pooling at
# stride 4 leave room for 800, so that most whole fields fit; where a training image has more cells,
# you are told how many to take.
_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/models/sparseseunet.py",
    "../_base_/datasets/livecell.py",
    "../_base_/schedules/cpu.py",
]
max_iters = 40_000
model = dict(
    encoder=dict(widths=(32, 64, 128, 256, 384, 512), stem_stride=2),
    decoder=dict(widths=(64, 96, 128, 256, 384)),
    heads=dict(
        instances=dict(
            num_queries=800,
            coord_order=2,
            num_refine=2,
            instance_branch=dict(channels=128, level=1),
            mask_branch=dict(channels=128, mask_dim=64, num_fields=4, match_level=1),
            activation=dict(spatial_prior=0.05),
        )
    ),
)
optim_wrapper = dict(type="AmpOptimWrapper", dtype="bfloat16", optimizer=dict(lr=5e-4))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.02, by_epoch=False, begin=0, end=500),
    dict(type="CosineAnnealingLR", eta_min=1e-6, by_epoch=False, begin=500, end=max_iters),
]
train_cfg = dict(max_iters=max_iters, val_interval=4000)
default_hooks = dict(checkpoint=dict(interval=1000, save_best="AP", rule="greater"))
