# The main job in minutes on two CPU cores: small simulated scenes, a narrow network. What the README runs.
_base_ = ["./brightfield.py"]
data_root = "data/brightfield_quickstart"
simulation = dict(
    _delete_=True, folder=data_root, splits=dict(train=160, val=16, test=32), scene="small", seed=0
)
max_iters = 500

normalize = dict(type="Normalize", mode="mean_std")
train_pipeline = [
    dict(type="LoadImage"),
    dict(type="LoadCells"),
    normalize,
    _base_.flips,
    dict(type="PackCellInputs"),
]
test_pipeline = [
    dict(type="LoadImage"),
    dict(type="LoadCells", keep_original=True),
    normalize,
    dict(type="PackCellInputs"),
]
train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    dataset=dict(data_root=data_root, simulation=simulation, pipeline=train_pipeline),
)
val_dataloader = dict(dataset=dict(data_root=data_root, simulation=simulation, pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(data_root=data_root, simulation=simulation, pipeline=test_pipeline))
model = dict(
    encoder=dict(widths=(24, 32, 64, 96, 128, 160), stem_stride=2),
    decoder=dict(widths=(48, 48, 64, 96, 128)),
    heads=dict(
        instances=dict(
            num_queries=64,
            feature_dim=128,
            coord_order=2,
            num_refine=2,
            instance_branch=dict(channels=48, depth=2, level=1),
            mask_branch=dict(channels=48, depth=2, mask_dim=32, num_fields=4, match_level=1),
            activation=dict(spatial_prior=0.25),
            # two queries on one cell; cells themselves share less
            test_cfg=dict(nms=dict(type="MaskNMS", iou_thr=0.7)),
        )
    ),
)
optim_wrapper = dict(
    _delete_=True,
    type="AmpOptimWrapper",
    dtype="auto",
    optimizer=dict(type="AdamW", lr=1e-3, weight_decay=0.05),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
    clip_grad=dict(max_norm=5.0),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.02, by_epoch=False, begin=0, end=30),
    dict(type="CosineAnnealingLR", eta_min=1e-6, by_epoch=False, begin=30, end=max_iters),
]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
default_hooks = dict(
    checkpoint=dict(_delete_=True, type="CheckpointHook", by_epoch=False, interval=max_iters)
)
