"""The annotated cells, counted: against what training can learn from, the queries and the classes."""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from cellmm.datasets.transforms.contract import adds_cells, removes_cells
from cellmm.engine.class_order import leaves
from cellmm.engine.preflight.building import build
from cellmm.engine.ranks import warn_on_first_rank
from cellmm.errors import CellMMError
from cellmm.io.coco_segmentations import instance_rle
from cellmm.models.heads.base import HeadContract
from cellmm.structures import rle as rle_ops

MANY_CROWDS, MANY_WITHOUT = 0.2, 0.5  # shares of annotations and of images that are told
LOOKED_AT = 8  # images with the most cells whose pipeline is run, where their number may change


@dataclass
class Annotated:
    """What the annotation of one image holds.

    ``labels``: one per cell; ``num_crowd``: regions that training leaves out; ``num_empty``: cells without a
    pixel, which it leaves out too; ``dataset``, ``index``: where it is.
    """

    name: str
    labels: list[int]
    num_crowd: int = 0
    num_empty: int = 0
    dataset: Any = field(default=None, compare=False)
    index: int = field(default=0, compare=False)


def count_cells(dataset: Any) -> list[Annotated]:
    """One entry per image whose annotation is known without reading files: label images are not."""
    found = []
    for leaf in leaves(dataset):
        for i in range(len(leaf)) if hasattr(leaf, "get_data_info") else ():
            info = leaf.get_data_info(i)
            if "instances" in info:
                cells = [cell for cell in info["instances"] if not cell.get("iscrowd")]
                found.append(
                    Annotated(
                        name_of(info),
                        [cell.get("label", 0) for cell in cells],
                        num_crowd=len(info["instances"]) - len(cells),
                        num_empty=sum(_is_empty(cell.get("segmentation"), info) for cell in cells),
                        dataset=leaf,
                        index=i,
                    )
                )
            elif "class_paths" in info:  # how many cells a file holds is not known, its class is
                labels = [label for label, _ in info["class_paths"]]
                found.append(Annotated(name_of(info), labels, dataset=leaf, index=i))
            elif "mask_paths" in info:
                labels = [0] * len(info["mask_paths"])
                found.append(Annotated(name_of(info), labels, dataset=leaf, index=i))
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
    cells = sum(len(image.labels) for image in images)
    crowds, empty = sum(image.num_crowd for image in images), sum(image.num_empty for image in images)
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
        warn_on_first_rank(
            f"{key}: {crowds} of {cells + crowds} annotations are crowd regions (iscrowd=1), which training "
            "leaves out; set iscrowd to 0 where each marks one cell"
        )
    if empty:
        warn_on_first_rank(
            f"{key}: {empty} of {cells} cells have no pixel and are left out; export their masks again"
        )
    without = [image.name for image in images if len(image.labels) == image.num_empty]
    if len(without) > MANY_WITHOUT * len(images):
        warn_on_first_rank(
            f"{key}: {len(without)} of {len(images)} images have no cell, such as {without[0]}; annotate "
            "them, or leave most of them out"
        )


def check_findable(images: Sequence[Annotated], key: str) -> None:
    """A warning where there is nothing to find, so that average precision is not defined."""
    if images and all(not image.labels for image in images):
        crowds = sum(image.num_crowd for image in images)
        warn_on_first_rank(
            f"{key}: none of the {len(images)} images has an annotated cell ({crowds} crowd regions), so AP "
            "is not defined (nan); annotate some"
        )


def check_classes(images: Sequence[Annotated], model: nn.Module) -> None:
    """No cell is of a class that a head does not have."""
    for path, number in _heads(model, "num_classes").items():
        for image in images:
            if image.labels and (label := max(image.labels)) >= number:
                raise CellMMError(
                    f"{path}: {number}, but {image.name} has a cell of class {label} (from 0); set it to "
                    f"{label + 1} or more, or class_agnostic=True in the dataset"
                )


def check_queries(images: Sequence[Annotated], model: nn.Module, key: str = "train_dataloader") -> None:
    """No training image has more cells than a head has queries."""
    for path, number, share, name, most in _too_many(images, model, key):
        raise CellMMError(
            f"{path}: {number}, but {share} training images have more cells, {name} {most}; set it to {most} "
            "or more, or crop the images"
        )


def warn_of_many_cells(images: Sequence[Annotated], model: nn.Module, key: str) -> None:
    """Images with more cells than a head has queries, counted."""
    for path, number, share, name, most in _too_many(images, model, key):
        warn_on_first_rank(
            f"{key}: {share} images have more cells than {path} ({number}), {name} {most}; the others cannot "
            "be found"
        )


def _too_many(
    images: Sequence[Annotated], model: nn.Module, key: str
) -> Iterator[tuple[str, int, str, str, int]]:
    """For each head with too few queries: its key, their number, "3 of 5" (images with more cells), the name
    of the image with the most, and how many it has.

    Where the pipeline may remove or add cells, those that come out of one draw of it are counted, of the
    LOOKED_AT images with the most cells: "at least 3 of 50".
    """
    for path, number in _heads(model, "num_queries").items():
        crowded = [image for image in images if len(image.labels) > number or adds_cells(_steps(image))]
        unsure = [image for image in crowded if _may_change(image)]
        counts = [(len(image.labels), image.name) for image in crowded if not _may_change(image)]
        for image in heapq.nlargest(LOOKED_AT, unsure, key=lambda image: len(image.labels)):
            counts.append((_cells_that_come_out(image, key), image.name))
        counts = [pair for pair in counts if pair[0] > number]
        if counts:
            most, name = max(counts, key=lambda pair: pair[0])
            at_least = "at least " if len(unsure) > LOOKED_AT else ""
            yield path, number, f"{at_least}{len(counts)} of {len(images)}", name, most


def _may_change(image: Annotated) -> bool:
    """Whether another number of cells may come out of the pipeline than is annotated."""
    return removes_cells(_steps(image)) or adds_cells(_steps(image))


def _steps(image: Annotated) -> Sequence:
    return getattr(getattr(image.dataset, "pipeline", None), "transforms", ())


def _cells_that_come_out(image: Annotated, key: str) -> int:
    """Of one draw of its pipeline."""
    sample = build(f"{key}.dataset.pipeline", lambda: image.dataset[image.index])
    packed = sample["data_samples"]
    return len(packed.gt_instances) if "gt_instances" in packed else 0


def _heads(model: nn.Module, attribute: str) -> dict[str, int]:
    """{key of the config: number} for the heads that state this number."""
    stated = {
        f"model.heads.{name}.{attribute}": getattr(HeadContract.of(head), attribute)
        for name, head in getattr(model, "heads", {}).items()
    }
    return {path: number for path, number in stated.items() if number is not None}


def name_of(info: dict) -> str:
    """The path of an image, or of its first file."""
    path = info.get("img_path", "?")
    return path if isinstance(path, str) else path[0]
