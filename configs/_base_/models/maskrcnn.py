# Mask R-CNN (He et al., 2017) as torchvision's maskrcnn_resnet50_fpn, from scratch. Images keep their size:
# Rescale of the pipeline makes cells larger or smaller.
model = dict(
    type="CellSegmentor",
    data_preprocessor=dict(type="CellDataPreprocessor", in_channels=3),
    encoder=dict(type="ResNetEncoder", depth="resnet50", norm="BN"),
    decoder=dict(type="FPNDecoder", channels=256),
    heads=dict(instances=dict(type="MaskRCNNHead", num_classes=1)),
)
