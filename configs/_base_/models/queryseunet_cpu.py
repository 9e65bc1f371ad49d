# QuerySEUNet at the size of the CPU configs: a narrow SE-U-Net, two maps to look at, 32 mask features.
_base_ = ["./queryseunet.py"]
model = dict(
    encoder=dict(widths=(24, 32, 64, 96, 128)),
    decoder=dict(widths=(48, 64, 96)),
    heads=dict(
        instances=dict(
            dim=96,
            num_heads=4,
            feedforward=256,
            mask_dim=32,
            strides=(16, 8),
            # masks are learned from the first step on, before queries and cells have settled
            denoising=dict(type="DenoisingQueries", max_queries=50),
        )
    ),
)
