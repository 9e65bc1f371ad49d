# Real worms on one GPU: torchvision's second recipe, with masks of 56 x 56 squares. Not trained yet.
_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/models/maskrcnn_v2_coco.py",
    "../_base_/datasets/bbbc010.py",
    "../_base_/schedules/maskrcnn.py",
]
load_from = "torchvision://maskrcnn_resnet50_fpn_v2"
model = dict(
    data_preprocessor=dict(in_channels=1),
    heads=dict(
        instances=dict(
            # boxes of worms that cross share more than their masks do
            rpn_nms=0.8,
            box_nms=0.7,
            mask_deconvs=2,
            test_cfg=dict(nms=dict(type="MaskNMS", iou_thr=0.6)),
        )
    ),
)
