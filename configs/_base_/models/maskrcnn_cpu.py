# Mask R-CNN at the size of the CPU configs: ResNet-18, pyramid of 64 channels. Boxes of long cells that cross
# share more than their masks do: boxes are suppressed late, masks that repeat a better one after that.
_base_ = ["./maskrcnn.py"]
model = dict(
    data_preprocessor=dict(in_channels=1),
    encoder=dict(depth="resnet18"),
    decoder=dict(channels=64),
    heads=dict(
        instances=dict(
            max_proposals=500,
            rpn_nms=0.8,
            box_nms=0.7,
            roi_samples=128,
            box_hidden=256,
            mask_hidden=64,
            test_cfg=dict(nms=dict(type="MaskNMS", iou_thr=0.6)),
        )
    ),
)
