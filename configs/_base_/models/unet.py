# U-Net as published (Ronneberger et al., 2015), with the zero padding and the batch normalisation of
# nuclei-notes: 64 to 1024 channels, transposed convolutions.
model = dict(
    type="CellSegmentor",
    data_preprocessor=dict(type="CellDataPreprocessor", in_channels=3),
    encoder=dict(type="SEUNetEncoder", widths=(64, 128, 256, 512, 1024), se=False),
    decoder=dict(type="SEUNetDecoder", widths=(64, 128, 256, 512), se=False, upsample="deconv"),
)
