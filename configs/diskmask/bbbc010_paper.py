# DiskMask as published (diskmask 2.3, 3): unpadded nets on tiles of 516 pixels, disks at the centroids,
# gateways opened together with probability 0.5, Adam at 1e-4, x0.1 after 300,000 of 600,000 steps of one
# tile. Not trained here: docs/model_zoo.md says what was. What the thesis leaves open is marked "ours".
_base_ = ["../_base_/default_runtime.py", "../_base_/datasets/bbbc010.py"]
max_iters = 600_000
normalize = dict(type="Normalize", mode="divide", divisor=3200.0)  # to about [0, 1], diskmask 4.1
train_pipeline = [
    dict(type="LoadImage", color="rgb"),  # grey, three times
    dict(type="LoadCells", cache=True),
    normalize,
    dict(type="SamplingDensity", sigma=50.0, truncate=2.0),
    dict(
        type="RandomWarp",  # linear: ours
        size=(516, 516),
        rotate=(-180, 180),  # any angle: ours
        flip=0.5,  # ours
        centre="density",  # the shift, diskmask figure 8
        border="mirror",  # ours; both losses ignore what lies outside of the image
    ),
    dict(type="ReferencePoints", kind="centroid"),
    # weights 1, 4 and 5 (figure 5b); of the space between near disks the thesis gives no numbers
    dict(
        type="DiskTargets",
        radius=5,
        disk_weight=1.0,
        between_weight=10.0,  # ours
        between_reach=5,  # ours
    ),
    dict(type="PackCellInputs"),
]
test_pipeline = [
    dict(type="LoadImage", color="rgb"),
    dict(type="LoadCells", keep_original=True),
    normalize,
    # F starts 92 pixels inside the image and a mask 92 inside F; they end 100 + 100 before; pooling cuts 16.
    # The thesis does not mirror the worms' images (3.4.2); black outside of them: ours
    dict(type="MirrorPad", top_left=184, bottom_right=216, value=0.0),
    dict(type="PackCellInputs"),
]
model = dict(
    type="CellSegmentor",
    # MSRA filler, biases 0
    init_cfg=dict(
        type="Kaiming",
        layer=["Conv2d", "ConvTranspose2d"],
        distribution="normal",
        mode="fan_in",
        nonlinearity="relu",
    ),
    data_preprocessor=dict(type="CellDataPreprocessor", in_channels=3),
    encoder=dict(
        type="SEUNetEncoder",
        widths=(64, 128, 256, 512),
        stem_stride=2,
        se=False,
        norm="none",
        padding="valid",
    ),
    decoder=dict(type="EncoNetDecoder", widths=(64, 64, 128, 256), padding="valid"),
    heads=dict(
        instances=dict(
            type="GatewayHead",
            feature_channels=64,
            # EncoNet is "of the same architecture" as DecoNet (2.3.2), and its first block, printed in 3.2.1,
            # has 64 channels at stride 2: half of U-Net's 128 there, which is the "half" of 2.3.2
            mask_decoder=dict(type="DecoNet", widths=(64, 128, 256, 512), padding="valid"),
            finder=dict(type="ComponentFinder", median=3),
            # thinning: randint(1, 5 - 1) - 1 passes, 0 to 3 (3.3.2)
            sampler=dict(type="UnionGatewaySampler", keep_prob=0.5, thinning=3),
            criterion=dict(
                type="GatewayCriterion",
                loss_disk=dict(type="CrossEntropyLoss", loss_weight=1.0),
                loss_mask=dict(type="MaskBCELoss", loss_weight=1.0),
            ),
            scoring=dict(type="GatewayScoring"),
            # when predicting: masks of 132 pixels; more where a worm is longer: ours. Every gateway is opened
            windows=dict(type="GrowingWindows", size=324, patience=None),
            test_cfg=dict(mask_thr=0.5, score_thr=0.05, nms=None),  # score_thr: ours
        )
    ),
)
# the thesis has 50, 25 and 25 images of 100, and does not say which; 97 have images here: 50, 24 and 23,
# every other well of the test split to validate: ours
train_dataloader = dict(batch_size=1, num_workers=2, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(indices=list(range(0, 47, 2)), pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(indices=list(range(1, 47, 2)), pipeline=test_pipeline))
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="Adam", lr=1e-4, betas=(0.9, 0.999), weight_decay=0.0),
    paramwise_cfg=dict(bias_lr_mult=2.0, bias_decay_mult=0.0),  # as the prototxt
)
param_scheduler = [dict(type="MultiStepLR", by_epoch=False, milestones=[300_000], gamma=0.1)]
train_cfg = dict(type="IterBasedTrainLoop", max_iters=max_iters, val_interval=20_000)  # interval: ours
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
default_hooks = dict(checkpoint=dict(interval=10_000))
