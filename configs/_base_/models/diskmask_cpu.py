# DiskMask at the size of the CPU configs: a narrow U-Net at stride 2, gateways at peaks of the disk
# probability, each decoded in a window of its own.
model = dict(
    type="CellSegmentor",
    data_preprocessor=dict(type="CellDataPreprocessor", in_channels=1),
    # no squeeze-and-excitation: tiles must give the same result as the whole image
    # masks at half resolution: no loss of AP on BBBC010
    encoder=dict(type="SEUNetEncoder", widths=(24, 32, 64, 96, 128, 160), stem_stride=2, se=False),
    decoder=dict(type="SEUNetDecoder", widths=(32, 48, 64, 96, 128), se=False),
    heads=dict(
        instances=dict(
            type="GatewayHead",
            feature_channels=32,
            mask_decoder=dict(
                widths=(24, 32, 48, 64), norm="BN", padding="same", upsample="nearest", fine_skip=True
            ),
            finder=dict(type="PeakFinder", score_thr=0.1, radius=3.0),
            # of up to 6 gateways per image, one opens at a random pixel of its cell, two at detected disks
            sampler=dict(
                type="SingleGatewaySampler", num_gates=6, random_share=0.17, detected_share=0.33, radius=4
            ),
            criterion=dict(
                loss_disk=dict(type="CrossEntropyLoss", loss_weight=3.0),
                loss_mask=dict(type="MaskBCELoss", loss_weight=5.0),
                loss_dice=dict(type="DiceLoss", loss_weight=1.0),
            ),
            scoring=dict(objectness=dict(type="MaskQuality", loss=dict(type="BCELoss", loss_weight=0.5))),
            windows=dict(size=96),
            # crossing worms have an IoU below 0.6
            test_cfg=dict(nms=dict(type="MaskNMS", iou_thr=0.6)),
        )
    ),
)
