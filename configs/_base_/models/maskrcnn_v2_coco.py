# The second recipe as it goes on from torchvision's weights of COCO, with
# load_from = "torchvision://maskrcnn_resnet50_fpn_v2" in the config, or --from FILE.
_base_ = ["./maskrcnn_v2.py"]
model = dict(frozen=["encoder.conv1", "encoder.bn1", "encoder.layer1"])
