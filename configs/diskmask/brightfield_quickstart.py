# DiskMask on small simulated scenes in minutes on two CPU cores: what the pictures in the docs are made with.
_base_ = ["../sparseseunet/brightfield_quickstart.py"]
data_root = "data/brightfield_quickstart"
train_pipeline = [
    dict(type="LoadImage"),
    dict(type="LoadCells", cache=True),
    dict(type="Normalize", mode="mean_std"),
    dict(
        type="Albumentations",
        transforms=[
            dict(type="HorizontalFlip", p=0.5),
            dict(type="VerticalFlip", p=0.5),
            dict(type="RandomRotate90", p=1.0),
        ],
    ),
    # cells at the border of the image are cells too: whole images, border=0
    dict(type="ReferencePoints", kind="medial", stride=2, border=0, min_distance=10.0),
    dict(type="DiskTargets", stride=2, radius=4, disk_weight=8.0, between_reach=4),
    dict(type="PackCellInputs"),
]
train_dataloader = dict(batch_size=4, dataset=dict(pipeline=train_pipeline))
model = dict(
    encoder=dict(se=False),
    decoder=dict(widths=(32, 48, 64, 96, 128), se=False),
    heads=dict(
        instances=dict(
            _delete_=True,
            type="GatewayHead",
            feature_channels=32,
            deco_net=dict(widths=(24, 32, 48, 64), norm="BN", padding="same", upsample="nearest"),
            fine_skip=True,
            window=64,
            train_gates=6,
            anywhere=0.17,
            found=0.33,
            train_radius=4,
            gates="peaks",
            score="quality",
            loss_disk_weight=3.0,
            loss_mask_weight=5.0,
            loss_dice_weight=1.0,
            loss_quality_weight=0.5,
            nms_thr=0.6,
        )
    ),
)
