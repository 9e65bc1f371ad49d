# SEU-Net (sparseseunet 4.2) at the size of the CPU configs: the encoder and decoder of SparseSEUNet's quick
# start. A config of its own adds decoders and heads.
model = dict(
    type="CellSegmentor",
    data_preprocessor=dict(type="CellDataPreprocessor", in_channels=2),
    encoder=dict(type="SEUNetEncoder", widths=(24, 32, 64, 96, 128, 160), stem_stride=2),
)
decoder = dict(type="SEUNetDecoder", widths=(48, 48, 64, 96, 128))
