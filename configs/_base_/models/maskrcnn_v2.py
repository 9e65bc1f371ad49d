# Mask R-CNN as torchvision's maskrcnn_resnet50_fpn_v2 has it: more convolutions, with batch norms.
_base_ = ["./maskrcnn.py"]
model = dict(decoder=dict(norm="BN"), heads=dict(instances=dict(v2=True)))
