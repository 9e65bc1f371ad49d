# Flips and quarter turns, ours; and the thesis' random flips, coarse dropout and mild elastic deformation
# (sparseseunet 5.2). The thesis gives no numbers: all of them are ours.
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
