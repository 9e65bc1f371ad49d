"""The annotated images that results are compared on."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cellmm.config.load import load_config
from cellmm.errors import CellMMError
from cellmm.evaluation.metrics.image_result import image_name
from cellmm.evaluation.results_on_dataset import load_truth
from cellmm.io.coco_categories import category_ids
from cellmm.io.coco_index import read_coco_index
from cellmm.io.coco_segmentations import instance_rle

SPLITS = ("test", "val")


@dataclass(frozen=True)
class Truth:
    """
    Args:
        name: as the user gave it.
        samples: an image each, by ``img_id``: what CellCocoMetric reads but for ``pred_instances``, and
            ``img_path``.
        meta: ``classes`` and, where they are not 1, 2, ..., ``category_ids``.
        evaluator: of the config, whose options CellCocoMetric gets; None: its default options.
        class_agnostic: classes count for nothing, on either side.
    """

    name: str
    samples: list[dict]
    meta: Mapping
    evaluator: dict | list | None = None
    class_agnostic: bool = False

    @property
    def classes(self) -> dict[str, int]:
        """{name of a class: its category id}."""
        return dict(zip(self.meta["classes"], category_ids(self.meta), strict=True))

    @property
    def image_names(self) -> list[str]:
        """How results name the images: by their files, with folders where the files alone would not do."""
        names = [image_name(sample) for sample in self.samples]
        if len(set(names)) == len(names):
            return names
        paths = [_first(sample["img_path"]) for sample in self.samples]
        common = os.path.commonpath([os.path.dirname(path) for path in paths])
        return [Path(os.path.relpath(path, common)).as_posix() for path in paths]

    def shape(self, place: int) -> tuple[int, int]:
        """(H, W) of the image at this place of ``samples``."""
        height, width = tuple(self.samples[place]["ori_shape"])[:2]
        return int(height), int(width)


def read_truth(text: str, *, images: Path | None = None, class_agnostic: bool = False) -> Truth:
    """The truth that a user names: a COCO json, or a config with ``:test`` (default) or ``:val``.

    Args:
        images: the folder that file names of a COCO json are relative to; None: the folder of the json, or
            ``images`` in it. Pictures need the images, scores do not.

    Raises:
        CellMMError: it cannot be read or holds no image; in one line with the cure.
    """
    if text.lower().endswith(".json"):
        truth = _of_coco(Path(text), images)
    else:
        if images is not None:
            raise CellMMError(f"--images goes with a COCO json: {text} says itself where its images are")
        match = re.fullmatch(r"(?P<config>.+?)(?::(?P<split>[a-z_]+))?", text)
        split = match["split"] or SPLITS[0]
        if split not in SPLITS:
            raise CellMMError(f"--truth {text}: no split {split!r}; choose :{' or :'.join(SPLITS)}")
        cfg = load_config(match["config"])
        samples, meta = load_truth(cfg, split)
        truth = Truth(text, samples, meta, cfg.get(f"{split}_evaluator"))
    if not truth.samples:
        raise CellMMError(f"--truth {text} holds no image: name annotated images")
    return without_classes(truth) if class_agnostic else truth


def without_classes(truth: Truth) -> Truth:
    """The same cells, all of one class."""
    samples = []
    for sample in truth.samples:
        cells = dict(sample["eval_instances"])
        cells["labels"] = np.zeros(len(cells["masks"]), np.int64)
        samples.append(sample | {"eval_instances": cells})
    return Truth(truth.name, samples, {"classes": ("cell",)}, truth.evaluator, class_agnostic=True)


def _of_coco(path: Path, images: Path | None) -> Truth:
    index = read_coco_index(path)
    categories = dict(sorted(index["categories"].items())) or {1: "cell"}
    labels = {number: label for label, number in enumerate(categories)}
    samples = []
    for image in sorted(index["images"], key=lambda image: image["id"]):
        shape, cells = (image["height"], image["width"]), image["instances"]
        areas = [np.nan if cell["area"] is None else float(cell["area"]) for cell in cells]
        samples.append(
            dict(
                img_id=image["id"],
                img_path=_paths(image["files"], path.parent, images),
                ori_shape=shape,
                eval_instances=dict(
                    masks=[instance_rle(cell["segmentation"], shape) for cell in cells],
                    labels=np.array([labels[cell["category_id"]] for cell in cells], np.int64),
                    ignore=np.array([bool(cell["iscrowd"]) for cell in cells], bool),
                    areas=np.array(areas, np.float64),
                ),
            )
        )
    meta = dict(classes=tuple(categories.values()), category_ids=tuple(categories))
    return Truth(str(path), samples, meta)


def _paths(files: list[str], folder: Path, images: Path | None) -> str | list[str]:
    places = [images] if images is not None else [folder, folder / "images"]
    place = next((place for place in places if (place / files[0]).is_file()), places[0])
    paths = [str(place / name) for name in files]
    return paths[0] if len(paths) == 1 else paths


def _first(path: str | list[str]) -> str:
    return path if isinstance(path, str) else path[0]
