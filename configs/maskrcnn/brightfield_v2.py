# The second recipe of torchvision, which the report calls resnet50_v2. Written for a GPU; not trained yet.
_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/models/maskrcnn_v2_coco.py",
    "../_base_/datasets/brightfield_small.py",
    "../_base_/schedules/maskrcnn.py",
]
load_from = "torchvision://maskrcnn_resnet50_fpn_v2"
model = dict(data_preprocessor=dict(in_channels=2))
