# QuerySEUNet: queries with masked attention on an SE-U-Net. The numbers of the decoder are Mask2Former's (256
# dimensions, 8 heads, 3 layers for each of 3 maps, N = 100); the U-Net's widths are ours. The image is halved
# at the start, and masks have that size.
model = dict(
    type="CellSegmentor",
    data_preprocessor=dict(type="CellDataPreprocessor", in_channels=1),
    encoder=dict(type="SEUNetEncoder", widths=(64, 128, 256, 384, 512), stem_stride=2),
    # the finest map stays the encoder's: the head joins it to the next coarser one
    decoder=dict(type="SEUNetDecoder", widths=(128, 256, 384), num_skips=1),
    heads=dict(
        instances=dict(
            type="QueryHead",
            num_queries=100,
            num_classes=1,
            dim=256,
            num_heads=8,
            feedforward=1024,
            strides=(16, 8, 4),
            layers_per_level=3,
            criterion=dict(
                type="QuerySetCriterion",
                matcher=dict(type="CostMatcher", cls_weight=2.0, bce_weight=5.0, dice_weight=5.0),
                points=dict(type="OverlapPoints", num_points=12544, num_matched=4096, overlap_share=0.25),
            ),
            # two queries on one cell; cells themselves share less
            test_cfg=dict(mask_thr=0.5, score_thr=0.05, nms=dict(type="MaskNMS", iou_thr=0.7)),
        )
    ),
)
