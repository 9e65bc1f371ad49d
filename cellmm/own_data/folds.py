"""K-fold cross-validation of a config: which images are held out, the config of each fold, one table."""

import copy
import json
import math
import os
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from statistics import fmean, stdev
from typing import Any

import numpy as np
from mmengine.config import Config

from cellmm.config.load import load_config
from cellmm.datasets import CellDataset
from cellmm.datasets.folders.groups import groups_of
from cellmm.errors import CellMMError
from cellmm.io.files import atomic_path
from cellmm.registry import DATASETS

KEY = "train_dataloader.dataset"
RESULTS = "results.segm.json"


def assign_folds(groups: Sequence[str], num_folds: int, seed: int = 0) -> np.ndarray:
    """The fold, 0 to ``num_folds`` - 1, in which each image is held out: int64 (N,).

    Images of one group are in one fold. The largest groups are placed first, each into the fold with the
    fewest images; groups of one size come in a random order.

    Raises:
        CellMMError: fewer than two folds, or fewer groups than folds.

    >>> assign_folds(["a", "a", "b", "c"], 2).tolist()
    [0, 0, 1, 1]
    """
    names = sorted(set(groups))
    if num_folds < 2:
        raise CellMMError(f"--folds {num_folds}: 2 or more are needed")
    if len(names) < num_folds:
        raise CellMMError(
            f"--folds {num_folds}: the {len(groups)} images are {len(names)} groups, and images of a "
            "group stay together; take fewer folds, or say with --group what a group is"
        )
    size = {name: list(groups).count(name) for name in names}
    drawn = [names[i] for i in np.random.default_rng(seed).permutation(len(names))]
    held, fold = [0] * num_folds, {}
    for name in sorted(drawn, key=lambda name: -size[name]):
        fold[name] = held.index(min(held))
        held[fold[name]] += size[name]
    return np.array([fold[name] for name in groups], dtype=np.int64)


def training_images(cfg: Config) -> tuple[np.ndarray, list[str]]:
    """The images that a config trains on: their places in its dataset, int64 (N,), and their files.

    An image that is drawn several times (``indices`` of the dataset name it again) is there several times.

    Raises:
        CellMMError: the training is on several datasets, or on none of cellmm.
    """
    if cfg.get("train_dataloader") is None:
        raise CellMMError(f"{cfg.filename}: no train_dataloader; it can be tested, not trained")
    options = {**cfg.train_dataloader.dataset, "pipeline": [], "indices": None}
    is_wrapper = bool({"dataset", "datasets"} & set(options))
    dataset = None if is_wrapper else DATASETS.build({**options, "lazy_init": False})
    if not isinstance(dataset, CellDataset):
        raise CellMMError(
            f"{KEY}: {options.get('type')} is not a single dataset of images; folds need one: put all images "
            "into one dataset"
        )
    kept = cfg.train_dataloader.dataset.get("indices")
    places = np.arange(len(dataset))
    places = places if kept is None else places[:kept] if isinstance(kept, int) else places[list(kept)]
    files = []
    for i in places.tolist():
        path = dataset.get_data_info(i)["img_path"]
        files.append(str(path if isinstance(path, str) else path[0]))
    return places, files


def group_names(files: Sequence[str], pattern: str | None = None) -> list[str]:
    """The group of each image, by its path below the folder that holds all of them; see ``groups_of``.

    Args:
        pattern: a regular expression that is looked for in this path; its first bracket, else all of what it
            matches, is the group. None: names that differ in a number of a field, time point or tile.

    Raises:
        CellMMError: no regular expression, or a file that it does not match.

    >>> group_names(["d/p1_a.tif", "d/p1_b.tif", "d/p2_a.tif"], r"(p\\d)_")
    ['p1', 'p1', 'p2']
    """
    root = os.path.commonpath([os.path.dirname(path) for path in files])
    below = [Path(os.path.relpath(path, root or ".")).as_posix() for path in files]
    if pattern is None:
        names = sorted(set(below))
        own = groups_of([str(PurePosixPath(name).with_suffix("")) for name in names])
        known = dict(zip(names, own, strict=True))
        return [known[name] for name in below]
    try:
        found = [re.search(pattern, name) for name in below]
    except re.error as error:
        raise CellMMError(f"--group {pattern}: not a regular expression: {error}") from error
    if None in found:
        raise CellMMError(f"--group {pattern}: does not match {below[found.index(None)]}")
    return [match[1] if match.re.groups else match[0] for match in found]


def fold_config(cfg: Config, places: np.ndarray, held_out: np.ndarray) -> Config:
    """The config of a fold: it trains without the images held out, bool (N,), and tests on these alone.

    Its validation, if it has one, stays as it is: the images held out choose nothing.

    Raises:
        CellMMError: the config has no steps of test.
    """
    fold = copy.deepcopy(cfg)
    if cfg.get("test_dataloader") is None:
        raise CellMMError(f"{cfg.filename}: no test_dataloader, whose steps the images held out go through")
    dataset = copy.deepcopy(cfg.train_dataloader.dataset)
    fold.train_dataloader.dataset.indices = places[~held_out].tolist()
    dataset.update(
        pipeline=copy.deepcopy(cfg.test_dataloader.dataset.pipeline),
        indices=np.unique(places[held_out]).tolist(),
        test_mode=True,
    )
    fold.test_dataloader.dataset = dataset
    return fold


def write_fold(cfg: Config, path: Path) -> None:
    """Write the config of a fold; one that is there and says something else is refused.

    Raises:
        CellMMError: there is another config, or ``cfg`` holds objects that cannot be written.
    """
    text = cfg.pretty_text
    if path.is_file() and path.read_text(encoding="utf-8") != text:
        raise CellMMError(
            f"{path}: the folds there are of another config, other images or another split; give another "
            "--out"
        )
    with atomic_path(path) as tmp:
        tmp.write_text(text, encoding="utf-8")
    if load_config(path).pretty_text != text:
        raise CellMMError(f"{path}: the config holds objects that cannot be written; name them by their type")


def table_text(metrics: Sequence[Mapping[str, Any]], images: Sequence[int], *, title: str) -> str:
    """One table: a line per metric with its value in each fold, their mean and standard deviation.

    Args:
        metrics: of each fold, what ``cellmm test`` writes; a number that is not defined is None.
        images: held out in each fold.
    """
    heads = ["", *(f"fold {i}" for i in range(len(metrics))), "mean", "sd"]
    lines = [heads, ["---"] * len(heads), ["images", *map(str, images), f"{fmean(images):.1f}", ""]]
    names = [key for key, value in metrics[0].items() if not isinstance(value, str)]
    for name in names:
        values = [found.get(name) for found in metrics]
        known = [value for value in values if value is not None and not math.isnan(value)]
        shown = ["-" if value is None else f"{value:.4f}" for value in values]
        spread = f"{stdev(known):.4f}" if len(known) > 1 else "-"
        lines.append([name, *shown, f"{fmean(known):.4f}" if known else "-", spread])
    rows = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return f"# {title}\n\n{rows}\nsd: standard deviation over the folds, which is no interval of the mean.\n"


def join_results(files: Sequence[Path], out: Path) -> int:
    """Write the COCO results of all folds as one file; returns their number."""
    results = [item for file in files for item in json.loads(file.read_text(encoding="utf-8"))]
    by_image = defaultdict(list)
    for item in results:
        by_image[item["image_id"]].append(item)
    ordered = [item for key in sorted(by_image) for item in by_image[key]]
    with atomic_path(out) as tmp:
        tmp.write_text(json.dumps(ordered) + "\n", encoding="utf-8")
    return len(ordered)
