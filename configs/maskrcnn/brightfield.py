# Mask R-CNN with a ResNet-50 and a feature pyramid, as published (maskrcnn-report), on the simulated scenes
# of the quick start. Written for a GPU; not trained yet.
_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/models/maskrcnn_coco.py",
    "../_base_/datasets/brightfield_small.py",
    "../_base_/schedules/maskrcnn.py",
]
load_from = "torchvision://maskrcnn_resnet50_fpn"
model = dict(data_preprocessor=dict(in_channels=2))
