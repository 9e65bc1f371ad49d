# SparseSEUNet at the size of the CPU configs: a narrow SE-U-Net that starts at stride 2, with activation maps
# and the matching at stride 4.
_base_ = ["./sparseseunet.py"]
model = dict(
    # masks at half resolution: no loss of AP on the worms, a quarter of the work
    encoder=dict(widths=(24, 32, 64, 96, 128, 160), stem_stride=2),
    decoder=dict(widths=(48, 48, 64, 96, 128)),
    heads=dict(
        instances=dict(
            feature_dim=128,
            coord_order=2,
            num_refine=2,
            instance_branch=dict(channels=48, depth=2, level=1),
            # pixels vote for a place in their cell: long bodies come together
            mask_branch=dict(channels=48, depth=2, mask_dim=32, num_fields=4, match_level=1),
            # queries start spread over the image instead of all alike
            activation=dict(spatial_prior=0.25),
            # two queries on one cell; cells themselves share less
            test_cfg=dict(nms=dict(type="MaskNMS", iou_thr=0.7)),
        )
    ),
)
