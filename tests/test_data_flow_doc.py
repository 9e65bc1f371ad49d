"""The table of keys in the docs is what a pipeline really reads and writes."""

import re
from pathlib import Path

import numpy as np

from cellmm.datasets import SimulatedDataset
from cellmm.datasets.transforms.packing import META_KEYS
from cellmm.simulation import SceneConfig

PAGE = (Path(__file__).parents[1] / "docs/concepts/data_flow.md").read_text()
TINY = SceneConfig(size=(64, 64), pixel=0.5, cells=(2, 4), min_visible=20)


def documented(heading: str) -> set[str]:
    section = PAGE.split(f"## {heading}")[1].split("\n## ")[0].split("`PackCellInputs` ends")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| ") and "`" in line]
    return {key for row in rows for key in re.findall(r"`(\w+)`", row)}


LOAD = [dict(type="LoadImage", pixel_size=0.5), dict(type="LoadCells"), dict(type="LoadNuclei")]
TRAINING = [
    *LOAD,
    dict(type="RescaleToPixelSize", pixel_size=0.5),
    dict(type="RescaleToDiameter", diameter=30),
    dict(type="CopyPaste", prob=1.0),
    dict(type="SamplingDensity"),
    dict(type="Normalize"),
    dict(type="RandomWarp", centre="density"),
    dict(type="RandomFlip", prob=0.5),
    dict(type="Resize", scale_factor=1.0),
    dict(type="RandomIntensity", noise=0.1),
    dict(type="ReferencePoints"),
    dict(type="DiskTargets"),
    dict(type="SemanticTargets", targets=("cytoplasm", "overlap")),
    dict(type="BoundaryTargets"),
    dict(type="ProximityMap"),
    dict(type="PixelWeights"),
    dict(type="AuxiliaryMaps", targets=("center", "boundary", "distance", "center_offsets")),
    dict(type="PackCellInputs"),
]
TESTING = [
    LOAD[0],
    dict(LOAD[1], keep_original=True),
    dict(LOAD[2], keep_original=True),
    dict(type="RescaleToPixelSize", pixel_size=0.6),
    dict(type="RescaleToDiameter", diameter=30),
    dict(type="ResizeTo", size=(32, 32)),
    dict(type="PackCellInputs"),
]


def test_keys_of_dataset_and_transforms(tmp_path):
    written: set[str] = set()
    for pipeline in (TRAINING, TESTING):
        simulation = dict(splits=dict(train=1), scene=TINY)
        dataset = SimulatedDataset(
            data_root=tmp_path / "set",
            split="train",
            simulation=simulation,
            nuclei=True,
            pipeline=pipeline,
        )
        info = dataset.get_data_info(0)
        from_dataset = documented("From the dataset to the transforms")
        assert {"img_path", "img_id", "nuclei_path"} <= set(info) & from_dataset
        results = dict(info, rng=np.random.default_rng(0), draw=0)
        if pipeline is TRAINING:
            results["dataset"] = dataset
        if pipeline is TESTING:
            results["cell_diameter"] = 20.0  # as of `cellmm predict --diameter`
        for step in dataset.pipeline.transforms[:-1]:
            results = step(results)
            written |= set(results) - set(info)
        sample = dataset.pipeline.transforms[-1](results)["data_samples"]
        assert set(sample.metainfo_keys()) == set(META_KEYS)
        assert all(f"`{key}" in PAGE for key in [*META_KEYS, *sample.keys()])
    assert written == documented("What transforms read and write")
