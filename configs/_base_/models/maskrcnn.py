# Mask R-CNN (He et al., 2017) as torchvision's maskrcnn_resnet50_fpn. Images keep their size: Rescale of the
# pipeline makes cells larger or smaller. With weights of COCO, a file of torchvision:
#   cellmm train CONFIG --from maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth --freeze encoder.conv1 encoder.layer1
model = dict(
    type="CellSegmentor",
    data_preprocessor=dict(type="CellDataPreprocessor", in_channels=3),
    # from scratch batch norms must learn; norm="frozen" with torchvision's weights, as they were made
    encoder=dict(type="ResNetEncoder", depth="resnet50", norm="BN"),
    decoder=dict(type="FPNDecoder", channels=256),
    heads=dict(instances=dict(type="MaskRCNNHead", num_classes=1)),
)
