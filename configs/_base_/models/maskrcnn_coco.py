# The same as it goes on from torchvision's weights of COCO, with load_from = "torchvision://maskrcnn_resnet50_fpn"
# in the config, or --from FILE. Batch norms stay as they were, and so do the first two parts, as with
# torchvision's trainable_backbone_layers=3.
_base_ = ["./maskrcnn.py"]
model = dict(encoder=dict(norm="frozen"), frozen=["encoder.conv1", "encoder.layer1"])
