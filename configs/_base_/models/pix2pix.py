# pix2pix as published (sparseseunet 4.4.2; Isola et al., 2017): nine levels, 512 px to one, patches of 70 px.
model = dict(
    type="Pix2Pix",
    data_preprocessor=dict(type="CellDataPreprocessor", in_channels=1),  # phase contrast
    target_channels=2,  # brightfield below and above focus
    generator=dict(type="UNetGenerator"),
    discriminator=dict(type="PatchGANDiscriminator"),
    losses=dict(l1=dict(type="L1Loss", loss_weight=100.0)),  # lambda of eq. 4.8
    window=512,  # 1024 px in windows that do not overlap
)
optimizer = dict(type="AdamW", lr=2e-4, betas=(0.5, 0.999))
optim_wrapper = dict(
    constructor="PartsOptimWrapperConstructor",
    generator=dict(type="OptimWrapper", optimizer=optimizer),
    discriminator=dict(type="OptimWrapper", optimizer=optimizer),
)
