"""The annotated cells, counted: against what training can learn from, the queries and the classes."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mmengine.dist import is_main_process
from mmengine.logging import print_log
from torch import nn

from cellmm.engine.class_order import leaves
from cellmm.errors import CellMMError
from cellmm.io.coco_segmentations import instance_rle
from cellmm.structures import rle as rle_ops

MANY_CROWDS, MANY_WITHOUT = 0.2, 0.5  # shares of annotations and of images that are told


@dataclass
class Annotated:
    """What the annotation of one image holds.

    ``labels``: one per cell; ``num_crowd``: regions that training leaves out; ``num_empty``: cells without a
    pixel, which it leaves out too.
    """

    name: str
    labels: list[int]
    num_crowd: int = 0
    num_empty: int = 0


def count_cells(dataset: Any) -> list[Annotated]:
    """One entry per image whose annotation is known without reading files: label images are not."""
    found = []
    for leaf in leaves(dataset):
        for i in range(len(leaf)) if hasattr(leaf, "get_data_info") else ():
            info = leaf.get_data_info(i)
            if "instances" in info:
                cells = [one for one in info["instances"] if not one.get("iscrowd")]
                found.append(
                    Annotated(
                        name_of(info),
                        [one.get("label", 0) for one in cells],
                        num_crowd=len(info["instances"]) - len(cells),
                        num_empty=sum(_is_empty(one.get("segmentation"), info) for one in cells),
                    )
                )
            elif "mask_paths" in info:
                found.append(Annotated(name_of(info), [0] * len(info["mask_paths"])))
    return found


def _is_empty(segmentation: Any, info: dict) -> bool:
    """Whether a segmentation has no pixel; those that are surely not empty are not decoded."""
    shape = info.get("height"), info.get("width")
    if segmentation is None or None in shape:
        return False
    counts = segmentation.get("counts") if isinstance(segmentation, dict) else None
    if isinstance(counts, str | bytes) and len(counts) > 6:  # more than one run
        return False
    return not rle_ops.area([instance_rle(segmentation, shape)])[0]


def check_learnable(images: Sequence[Annotated]) -> None:
    """An error where training would learn from no cell, a warning where much is left out."""
    cells = sum(len(one.labels) for one in images)
    crowds, empty = sum(one.num_crowd for one in images), sum(one.num_empty for one in images)
    key = "train_dataloader.dataset"
    if not images:
        return
    if cells == empty:
        parts = ((crowds, "crowd regions (iscrowd=1)"), (empty, "empty masks"))
        what = " and ".join(f"{number} {name}" for number, name in parts if number)
        cure = "export one mask per cell"
        if crowds:
            cure = "some tools export every brush mask as a crowd: set iscrowd to 0 where each marks one cell"
        raise CellMMError(
            f"{key}: the annotation of {len(images)} images has {what or 'no cell'} and nothing else, so "
            f"training would learn nothing; {cure}"
        )
    if crowds > MANY_CROWDS * (cells + crowds):
        _warn(
            f"{key}: {crowds} of {cells + crowds} annotations are crowd regions (iscrowd=1), which training "
            "leaves out; set iscrowd to 0 where each marks one cell"
        )
    if empty:
        _warn(f"{key}: {empty} of {cells} cells have no pixel and are left out; export their masks again")
    without = [one.name for one in images if len(one.labels) == one.num_empty]
    if len(without) > MANY_WITHOUT * len(images):
        _warn(
            f"{key}: {len(without)} of {len(images)} images have no cell, such as {without[0]}; annotate "
            "them, or leave most of them out"
        )


def check_findable(images: Sequence[Annotated], key: str) -> None:
    """A warning where there is nothing to find, so that average precision is not defined."""
    if images and all(not one.labels for one in images):
        crowds = sum(one.num_crowd for one in images)
        _warn(
            f"{key}: none of the {len(images)} images has an annotated cell ({crowds} crowd regions), so AP "
            "is not defined (nan); annotate some"
        )


def check_classes(images: Sequence[Annotated], model: nn.Module) -> None:
    """No cell is of a class that a head does not have."""
    for path, number in _heads(model, "num_classes").items():
        for one in images:
            if one.labels and max(one.labels) >= number:
                raise CellMMError(
                    f"{path}: {number}, but {one.name} has a cell of class {max(one.labels)} (from 0); set "
                    f"it to {max(one.labels) + 1} or more, or class_agnostic=True in the dataset"
                )


def check_queries(images: Sequence[Annotated], dataset: Any, model: nn.Module) -> None:
    """No training image has more cells than a head has queries."""
    for path, number, more, most in _too_many(images, dataset, model):
        raise CellMMError(
            f"{path}: {number}, but {more} of {len(images)} training images have more cells, {most.name} "
            f"{len(most.labels)}; set it to {len(most.labels)} or more, or crop the images"
        )


def warn_of_many_cells(images: Sequence[Annotated], dataset: Any, model: nn.Module, key: str) -> None:
    """Images with more cells than a head has queries, counted."""
    for path, number, more, most in _too_many(images, dataset, model):
        _warn(
            f"{key}: {more} of {len(images)} images have more cells than {path} ({number}), {most.name} "
            f"{len(most.labels)}; the others cannot be found"
        )


def _too_many(
    images: Sequence[Annotated], dataset: Any, model: nn.Module
) -> Iterator[tuple[str, int, int, Annotated]]:
    """(key, queries, how many images have more cells, the image with the most) of each such head."""
    if not images or _crops(dataset):
        return
    most = max(images, key=lambda one: len(one.labels))
    for path, number in _heads(model, "num_queries").items():
        if more := sum(len(one.labels) > number for one in images):
            yield path, number, more, most


def _heads(model: nn.Module, attribute: str) -> dict[str, int]:
    """{key of the config: number} for the heads that have this number."""
    heads = dict(getattr(model, "heads", {}).items())
    return {
        f"model.heads.{name}.{attribute}": getattr(head, attribute)
        for name, head in heads.items()
        if isinstance(getattr(head, attribute, None), int)
    }


def name_of(info: dict) -> str:
    """The path of an image, or of its first file."""
    path = info.get("img_path", "?")
    return path if isinstance(path, str) else path[0]


def _crops(dataset: Any) -> bool:
    """Whether a step of a pipeline can leave cells out."""
    for leaf in leaves(dataset):
        steps = getattr(getattr(leaf, "pipeline", None), "transforms", ())
        for step in steps:
            inside = getattr(getattr(step, "compose", None), "transforms", ())
            if any("Crop" in type(one).__name__ for one in (step, *inside)):
                return True
    return False


def _warn(text: str) -> None:
    if is_main_process():
        print_log(text, logger="current", level=logging.WARNING)
