# Flips and quarter turns alone; the same with the thesis' coarse dropout and easy elastic deformation
# (sparseseunet 5.2).
flips = dict(
    type="Albumentations",
    transforms=[
        dict(type="HorizontalFlip", p=0.5),
        dict(type="VerticalFlip", p=0.5),
        dict(type="RandomRotate90", p=1.0),
    ],
)
augmentation = dict(
    type="Albumentations",
    transforms=[
        dict(type="HorizontalFlip", p=0.5),
        dict(type="VerticalFlip", p=0.5),
        dict(type="RandomRotate90", p=1.0),
        dict(type="ElasticTransform", alpha=100, sigma=20, p=0.3),
        dict(
            type="CoarseDropout",
            num_holes_range=(1, 8),
            hole_height_range=(8, 32),
            hole_width_range=(8, 32),
            fill=0,
            p=0.5,
        ),
    ],
)
