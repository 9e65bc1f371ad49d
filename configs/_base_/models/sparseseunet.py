# SparseSEUNet, single-level, as published (sparseseunet 4.2, 4.5): SE-U-Net of the original U-Net's widths,
# N = 100 instance activation maps, 256-dimensional instance features. What the thesis leaves open is marked
# "ours"; so are squeeze-and-excitation at an eighth of the channels, batch norm and nearest upsampling.
model = dict(
    type="CellSegmentor",
    data_preprocessor=dict(type="CellDataPreprocessor", in_channels=1),
    encoder=dict(type="SEUNetEncoder", widths=(64, 128, 256, 512, 1024)),
    decoder=dict(type="SEUNetDecoder", widths=(64, 128, 256, 512)),
    heads=dict(
        instances=dict(
            type="IAMHead",
            num_queries=100,
            num_classes=1,
            feature_dim=256,
            instance_branch=dict(type="TopDownBranch", channels=256),  # ours
            mask_branch=dict(type="MaskBranch", channels=256, mask_dim=128),  # ours, SparseInst's
            activation=dict(type="InstanceActivation"),
            criterion=dict(
                type="SetCriterion",
                matcher=dict(type="HungarianMatcher", mask_weight=0.8),
                # weights of SparseInst, on which the thesis builds; the thesis gives none
                loss_dice=dict(type="DiceLoss", loss_weight=2.0),
                loss_bce=dict(type="MaskBCELoss", loss_weight=5.0),
                # alpha and gamma: ours
                loss_cls=dict(type="SigmoidFocalLoss", alpha=0.25, gamma=2.0, loss_weight=2.0),
            ),
            test_cfg=dict(mask_thr=0.5, score_thr=0.05),  # ours; without nms
        )
    ),
)
