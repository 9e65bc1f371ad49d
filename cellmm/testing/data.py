"""The contracts of datasets and samplers, tested: cellmm/datasets/contract.py."""

import itertools
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dataset import Compose

from cellmm.datasets.contract import NumberedDataset, SeekableSampler
from cellmm.engine.class_order import leaves
from cellmm.registry import DATA_SAMPLERS, DATASETS, TRANSFORMS
from cellmm.structures import LabelLayers
from cellmm.testing.rules import build, must_work, require, same

ANNOTATION = ("instances", "label_path", "class_paths", "mask_paths")
LOAD = (dict(type="LoadImage"), dict(type="LoadCells"))
MOST = 4  # images that are looked at
NUM_IMAGES = 7
NUM_DRAWS = 20


def check_dataset(config: dict) -> None:
    """Test that a dataset follows ``NumberedDataset``. Its files must exist; a few small images are enough.

    Each image's dict is complete and its files can be read. The same draw gives the same in a copy of the
    dataset, which each worker has, and another draw gets another ``rng``.

    Raises:
        CellMMError: one line that names the dataset and the rule.
    """
    name, dataset = build(DATASETS, config)
    for method in ("__len__", "get_data_info", "__getitem__"):
        require(hasattr(dataset, method), name, f"it must have {method}, see cellmm.datasets.contract")
    require(isinstance(dataset, NumberedDataset), name, "it must have metainfo, a dict with classes")
    classes = dataset.metainfo.get("classes")
    named = isinstance(classes, list | tuple) and classes and all(isinstance(word, str) for word in classes)
    require(bool(named), name, "metainfo['classes'] must be a list of names")
    require(len(dataset) > 0, name, "it must have an image; give it a folder with some")
    with must_work(name, "get_data_info"):
        infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    for info in infos:
        _check_info(name, info, len(classes))
    ids = [info["img_id"] for info in infos]
    require(len(set(ids)) == len(ids) or _repeats(dataset), name, "each image must have an img_id of its own")
    for leaf in leaves(dataset):
        leaf.pipeline = Compose([TRANSFORMS.build(step) for step in LOAD])
    with must_work(name, "sending it to a worker"):
        copy = pickle.loads(pickle.dumps(dataset))
    for index in range(min(MOST, len(dataset))):
        with must_work(name, f"reading image {index}"):
            found, again, other = dataset[index, 5], copy[index, 5], dataset[index, 6]
        _check_read(name, found)
        require(found.get("draw") == 5, name, "dataset[index, draw] must put draw into the results")
        drawn = [results["rng"].random() for results in (found, again, other)]
        require(drawn[0] == drawn[1] != drawn[2], name, "rng must be a function of seed and draw alone")
        for key in ("img", "gt_layers", "gt_labels"):
            require(same(found[key], again[key]), name, f"{key} must be the same in any process")


def _check_info(name: str, info: dict, num_classes: int) -> None:
    paths = info.get("img_path")
    paths = [paths] if isinstance(paths, str) else paths
    named = isinstance(paths, list) and paths and all(isinstance(path, str) for path in paths)
    require(bool(named), name, "img_path must be a str, or a list of str")
    number = info.get("img_id")
    require(isinstance(number, int | np.integer), name, "img_id must be an int")
    given = [key for key in ANNOTATION if key in info]
    require(len(given) == 1, name, f"an image must have exactly one of {', '.join(ANNOTATION)}, got {given}")
    if "instances" in info:
        labels = [cell.get("label", 0) for cell in info["instances"]]
        kept = all(0 <= label < num_classes for label in labels)
        require(kept, name, f"labels must be from 0 to {num_classes - 1}, by metainfo['classes']")
    of_classes = dict(info.get("class_paths", ()))
    kept = all(0 <= label < num_classes for label in of_classes)
    require(kept, name, f"labels of class_paths must be from 0 to {num_classes - 1}, by metainfo['classes']")
    files = (*paths, *info.get("mask_paths", ()), *of_classes.values())
    for path in (*files, info.get("label_path"), info.get("nuclei_path")):
        require(path is None or Path(path).is_file(), name, f"{path} must be a file")


def _check_read(name: str, found: Any) -> None:
    right = isinstance(found, dict) and {"img", "rng", "gt_layers"} <= set(found)
    require(right, name, "dataset[index, draw] must run the pipeline on the dict, with draw and rng")
    require(isinstance(found["rng"], np.random.Generator), name, "rng must be a numpy Generator")
    require(isinstance(found["gt_layers"], LabelLayers), name, "gt_layers must be LabelLayers")


def _repeats(dataset: Any) -> bool:
    """Whether images come several times on purpose."""
    return sum(len(leaf) for leaf in leaves(dataset)) < len(dataset)


def check_sampler(config: dict, *, dataset: Sequence | None = None) -> None:
    """Test that a sampler follows ``SeekableSampler``: after ``seek`` it goes on as if it had never stopped.

    Args:
        config: of the sampler.
        dataset: what it draws from, where it needs more than a length; default: seven images.

    Raises:
        CellMMError: one line that names the sampler and the rule.
    """
    dataset = range(NUM_IMAGES) if dataset is None else dataset
    name, sampler = build(DATA_SAMPLERS, config, dataset=dataset, seed=0)
    for method in ("seek", "__iter__", "__len__"):
        require(hasattr(sampler, method), name, f"it must have {method}, see cellmm.datasets.contract")
    require(isinstance(sampler, SeekableSampler), name, "seek must be a method")
    with must_work(name, "drawing"):
        whole = list(itertools.islice(sampler, NUM_DRAWS))
    require(len(whole) == NUM_DRAWS, name, "it must never end: a training draws as often as it needs")
    for pair in whole:
        right = isinstance(pair, tuple) and len(pair) == 2 and 0 <= pair[0] < len(dataset)
        require(right, name, "it must yield pairs (index, draw)")
    draws = [draw for _, draw in whole]
    require(draws == list(range(NUM_DRAWS)), name, "draw must count 0, 1, 2, ...")
    _, fresh = build(DATA_SAMPLERS, config, dataset=dataset, seed=0)
    for start in (0, 1, len(dataset), NUM_DRAWS - 3):
        for other in (sampler, fresh):
            with must_work(name, "seek"):
                other.seek(start)
            rest = list(itertools.islice(other, NUM_DRAWS - start))
            require(
                rest == whole[start:], name, f"after seek({start}) it must go on as if it had not stopped"
            )
