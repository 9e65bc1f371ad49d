"""Images and cells that the contract tester runs components on; nothing is read from a user's disk."""

import contextlib
import functools
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from mmengine.structures import BaseDataElement, InstanceData

from cellmm.datasets.transforms.geometry import pad
from cellmm.registry import DATASETS, TRANSFORMS
from cellmm.simulation import SceneConfig, make_dataset, simulate_scene
from cellmm.simulation.scene import Scene
from cellmm.structures import SEMANTIC_NAMES, CellSample, LabelLayers, semantic_maps

SIDE = 64  # px
SCENE = SceneConfig(size=(SIDE, SIDE), pixel=0.5, cells=(3, 4), min_visible=20)
CLASSES = ("cell", "other")
# every target that a head of cellmm may learn
TARGETS = (
    dict(type="ReferencePoints"),
    dict(type="DiskTargets"),
    dict(type="SemanticTargets", targets=("cytoplasm", "nuclei", "border", "background", "overlap")),
    dict(type="BoundaryTargets"),
    dict(type="ProximityMap"),
    dict(type="PixelWeights"),
    dict(type="AuxiliaryMaps", targets=("center", "boundary", "distance", "center_offsets")),
    dict(type="PackCellInputs"),
)


@functools.cache
def scene(seed: int = 0) -> Scene:
    """64 x 64 pixels with three or four cells, which may overlap."""
    return simulate_scene(SCENE, np.random.default_rng(seed))


def results(shape: Sequence[int] = (SIDE, SIDE), *, cells: bool = True, seed: int = 0) -> dict:
    """A training image between LoadNuclei and the first step that changes it.

    ``shape``: (h, w), at most 64 pixels each. ``img`` has two channels in [0, 1]. Without ``cells`` the
    annotation is empty. The labels number the cells, so that each can be told apart.
    """
    view, (height, width) = scene(seed), shape
    image = view.brightfield[:, :height, :width].transpose(1, 2, 0).astype(np.float32) / 2**12
    if cells:
        layers, nuclei = view.cells.crop(0, 0, height, width), view.nuclei.crop(0, 0, height, width)
    else:
        layers = nuclei = LabelLayers.empty(height, width)
    return dict(
        img_id=1,
        img_path="generated.tif",
        img=np.clip(image, 0, 1),
        img_shape=(height, width),
        ori_shape=(height, width),
        to_original=np.eye(3),
        pixel_size=(0.5, 0.5),
        gt_layers=layers,
        gt_nuclei=nuclei,
        gt_labels=np.arange(len(layers), dtype=np.int64),
        gt_ignore=np.zeros(len(layers), bool),
        gt_areas=layers.areas().astype(np.float64),
        draw=0,
        rng=np.random.default_rng(0),
    )


class OneImage:
    """A dataset of a single image, for a ``step`` that mixes images and is the first of the pipeline.

    A margin is around the image, so that no cell touches its border.
    """

    def __init__(self, step: Callable) -> None:
        self.pipeline = SimpleNamespace(transforms=[step])

    def __len__(self) -> int:
        return 1

    def __deepcopy__(self, memo: dict) -> "OneImage":
        return self

    def get_data_info(self, index: int) -> dict:
        return pad(results(seed=3), (4, 4), (4, 4), step=type(self).__name__, mode="edge")


def coordinates(shape: Sequence[int]) -> np.ndarray:
    """An image (h, w, 3) that says where its pixels are: y and x as shares of the sides, and 1."""
    y, x = np.meshgrid(*(np.linspace(0, 1, side, dtype=np.float32) for side in shape), indexing="ij")
    return np.stack([y, x, np.ones_like(y)], axis=-1)


def sample(
    steps: Sequence[dict] = TARGETS,
    shape: Sequence[int] = (SIDE, SIDE),
    *,
    cells: bool = True,
    num_classes: int = 1,
    seed: int = 0,
) -> dict:
    """What ``steps``, which end with PackCellInputs, make of ``results``: ``inputs`` and ``data_samples``."""
    found = results(shape, cells=cells, seed=seed)
    found["gt_labels"] %= num_classes
    for step in steps:
        found = TRANSFORMS.build(step)(found)
    return found


@contextlib.contextmanager
def files() -> Iterator[dict]:
    """What a dataset knows of a simulated image on disk, with its label image and its nuclei."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "simulated")
        make_dataset(root, splits=dict(train=1), scene=SCENE, extra_modalities=True)
        dataset = DATASETS.build(
            dict(type="SimulatedDataset", data_root=str(root), split="train", nuclei=True)
        )
        info = dataset.get_data_info(0)
        name = Path(info["img_path"]).name
        label_path = str(root / "train" / "layers" / name)
        yield info | dict(label_path=label_path, draw=0, rng=np.random.default_rng(0))


def evaluated(*, cells: bool = True, found: bool = True, img_id: int = 1, classes: int = 1) -> CellSample:
    """A sample after prediction, with every field that metrics read; its masks are those of the cells.

    Without ``cells`` the annotation is empty, without ``found`` the prediction is.
    """
    view = scene()
    rles, nuclei = view.cells.to_rles(), view.nuclei.to_rles()
    num = len(rles)
    own = rles if cells else []
    labels = torch.arange(num) % classes
    evaluated = CellSample(
        metainfo=dict(
            img_id=img_id,
            img_path="generated.tif",
            img_shape=(SIDE, SIDE),
            ori_shape=(SIDE, SIDE),
            to_original=np.eye(3),
        )
    )
    evaluated.eval_instances = InstanceData(
        masks=own,
        labels=labels[: len(own)].numpy(),
        ignore=np.zeros(len(own), bool),
        areas=np.full(len(own), np.nan),
    )
    evaluated.eval_nuclei = InstanceData(masks=nuclei if cells else [])
    number = num if found else 0
    evaluated.pred_instances = InstanceData(
        masks=rles[:number], scores=torch.linspace(0.9, 0.5, num)[:number], labels=labels[:number]
    )
    maps = semantic_maps(view.cells, view.nuclei, SEMANTIC_NAMES)
    evaluated.pred_semantic = BaseDataElement(
        **{name: torch.from_numpy(maps[name] * np.float32(found)) for name in SEMANTIC_NAMES}
    )
    return evaluated
