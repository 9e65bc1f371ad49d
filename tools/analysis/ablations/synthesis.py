# Tables 5.4 to 5.6 of sparseseunet: ten annotated images, and images that were made of them. A grid, not a
# model's config. Make the sets first, see docs/how_to/synthesize.md:
#   python tools/analysis/ablate.py tools/analysis/ablations/synthesis.py
iters = 500
seeds = [0]

_flips = dict(
    type="Albumentations",
    transforms=[
        dict(type="HorizontalFlip", p=0.5),
        dict(type="VerticalFlip", p=0.5),
        dict(type="RandomRotate90", p=1.0),
    ],
)
_maps = [
    dict(type="LoadImage"),
    dict(type="LoadCells"),
    dict(type="LoadNuclei"),
    dict(type="Normalize", mode="mean_std"),
    _flips,
    dict(type="SemanticTargets", targets=("cytoplasm", "nuclei", "border", "background", "overlap")),
    dict(type="PackCellInputs"),
]
_cells = [
    dict(type="LoadImage", z="channels"),
    dict(type="LoadCells"),
    dict(type="Normalize", mode="mean_std"),
    _flips,
    dict(type="PackCellInputs"),
]


def _images(root, pipeline, **more):
    return dict(
        type="SimulatedDataset",
        data_root=root,
        split="train",
        nuclei=True,
        class_agnostic=True,
        pipeline=pipeline,
        **more,
    )


def _dataset(pipeline, synthetic, real):
    """The ten annotated images ``real`` times, and the images of a folder."""
    datasets = []
    if real:
        ten = _images("data/simulated_nuclei", pipeline, indices=list(range(10)))
        datasets.append(dict(type="RepeatDataset", times=real, dataset=ten))
    if synthetic:
        datasets.append(_images(synthetic, pipeline))
    return dict(_delete_=True, type="ConcatDataset", datasets=datasets)


# of images drawn, a third are real where there are both
_sets = {
    "original": (None, 1),
    "pasted_100": ("data/pasted_100", 5),
    "synthetic_100": ("data/synthetic_100", 0),
    "synthetic_1000": ("data/synthetic_1000", 0),
    "both_100": ("data/synthetic_100", 5),
    "both_1000": ("data/synthetic_1000", 50),
}
_models = dict(
    two_heads=("configs/seunet/two_heads.py", _maps),
    overlap=("configs/seunet/overlap.py", _maps),
    cells=("configs/sparseseunet/brightfield_quickstart.py", _cells),
)
runs = {
    f"{model}_{name}": dict(config=config, options={"train_dataloader.dataset": _dataset(pipeline, *chosen)})
    for model, (config, pipeline) in _models.items()
    for name, chosen in _sets.items()
}

_rows = {
    "Original (10)": "original",
    "Original + pasted in brightfield (100)": "pasted_100",
    "Synthetic (100)": "synthetic_100",
    "Synthetic (1000)": "synthetic_1000",
    "Original + synthetic (100)": "both_100",
    "Original + synthetic (1000)": "both_1000",
}
_pixels = ("Acc", "Prec", "Rec", "F1", "IoU")
tables = [
    dict(
        number=number,
        title=title,
        rows={label: f"{model}_{name}" for label, name in _rows.items()},
        columns={key: f"{target}/{key}" for key in _pixels}
        if target
        else {"AP": "AP", "AP50": "AP50", "S": "S"},
        scale=1 if target else 100,
    )
    for number, title, model, target in (
        ("5.4", "Cytoplasm", "two_heads", "cytoplasm"),
        ("5.5", "Nuclei", "two_heads", "nuclei"),
        ("5.6", "Overlaps", "overlap", "overlap"),
        ("5.6b", "Cells", "cells", None),
    )
]
