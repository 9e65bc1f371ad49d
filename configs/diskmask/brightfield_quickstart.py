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
    dict(type="DiskTargets", radius=4, disk_weight=8.0, between_reach=4),
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
            mask_decoder=dict(
                widths=(24, 32, 48, 64), norm="BN", padding="same", upsample="nearest", fine_skip=True
            ),
            finder=dict(type="PeakFinder", score_thr=0.1, radius=3.0),
            sampler=dict(
                type="SingleGatewaySampler", num_gates=6, random_share=0.17, detected_share=0.33, radius=4
            ),
            criterion=dict(
                loss_disk=dict(type="CrossEntropyLoss", loss_weight=3.0),
                loss_mask=dict(type="MaskBCELoss", loss_weight=5.0),
                loss_dice=dict(type="DiceLoss", loss_weight=1.0),
            ),
            scoring=dict(objectness=dict(type="MaskQuality", loss=dict(type="BCELoss", loss_weight=0.5))),
            windows=dict(size=64),
            test_cfg=dict(nms=dict(type="MaskNMS", iou_thr=0.6)),
        )
    ),
)
