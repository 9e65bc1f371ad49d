"""Labels that do not tell cells apart: masks of many cells, a numbered background, numbers used twice."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mmengine.logging import print_log

from cellmm.errors import CellMMError
from cellmm.io.coco_segmentations import instance_rle
from cellmm.io.images import read_mask
from cellmm.io.layered_tiff import read_ids
from cellmm.messages import name_some
from cellmm.structures import rle as rle_ops
from cellmm.structures.label_faults import LabelFaults, label_faults

MOST_PIXELS = 2**26  # looked at when a dataset is opened, about 3 s
DOUBLED = 0.05, 5  # share and number of ids in far pieces; of real cells behind others it is 0.0003
CURE = (
    "give each cell a number of its own (scipy.ndimage.label; in Fiji: Analyze Particles, Show: Count "
    "Masks), or one mask file per cell"
)


def check_labels(data_list: Sequence[dict], root: str | Path, most_pixels: float = MOST_PIXELS) -> bool:
    """Look for labels that cannot be cells. Returns whether all labels were looked at.

    Label images, and the mask or annotation of images that have a single one, are read until ``most_pixels``
    are reached, from images all over the set. Findings are counted, with one warning per kind.
    Unreadable files are skipped here: whoever needs them reports them.

    Raises:
        CellMMError: most images have one id in many pieces, or a background with a number.
    """
    found = look_at_labels(data_list, root, most_pixels)
    for text in found.doubts:
        print_log(f"{root}: {text}", logger="current", level=logging.WARNING)
    if found.fault:
        raise CellMMError(f"{root}: {found.fault}")
    return found.all_seen


@dataclass(frozen=True)
class LabelFindings:
    """
    Attributes:
        fault: why the labels cannot be cells; None: they may be.
        doubts: what looks wrong, a line for each kind.
        all_seen: whether all labels were looked at.
    """

    fault: str | None
    doubts: tuple[str, ...]
    all_seen: bool


def look_at_labels(
    data_list: Sequence[dict], root: str | Path, most_pixels: float = MOST_PIXELS
) -> LabelFindings:
    """What ``check_labels`` finds, in words."""
    found: dict[str, LabelFaults] = {}
    nonempty, pixels, seen = 0, 0, 0
    for i in np.random.default_rng(0).permutation(len(data_list)):
        if pixels >= most_pixels:
            break
        info, seen = data_list[i], seen + 1
        labels = dict(_labels(info))
        if not labels:
            nonempty += len(info.get("mask_paths") or info.get("instances") or ()) > 1
        for path, label in labels.items():
            pixels += label.size
            faults = label_faults(label)
            if faults.ids:
                nonempty += 1
                found[_name(path, root)] = faults
    doubts: list[str] = []
    fault = _judge(found, nonempty, doubts)
    return LabelFindings(fault, tuple(doubts), seen == len(data_list))


def _judge(found: dict[str, LabelFaults], number: int, doubts: list[str]) -> str | None:
    """The fault in labels, if there is one; adds to ``doubts``."""
    one_id = sorted(name for name, faults in found.items() if faults.ids == 1 and faults.pieces > 1)
    sure = [name for name in one_id if found[name].scattered]
    if sure and 2 * len(sure) >= number:
        return (
            f"{len(sure)} of {number} images have one mask in many pieces, {name_some(sure)}: not "
            f"a number per cell; {CURE}"
        )
    counted = sorted(name for name, faults in found.items() if faults.background is not None)
    numbers = {found[name].background for name in counted}
    if counted and 2 * len(counted) >= number:
        text = (
            f"in {len(counted)} of {number} images a cell (number {name_some(sorted(numbers))}) "
            f"covers most of the image to all its borders, {name_some(counted)}: the background has a "
            "number; make it 0"
        )
        if len(numbers) == 1 and all(found[name].ids > 1 and found[name].no_zero for name in counted):
            return text
        doubts.append(text)
    elif counted:
        doubts.append(
            f"in {len(counted)} of {number} images a cell covers most of the image to all its "
            f"borders, {name_some(counted)}; if it is the background, make it 0"
        )
    pieces = {
        name
        for name, faults in found.items()
        if faults.background is None and 2 * faults.scattered >= faults.ids
    }
    if 2 * len(one_id) >= number or sum(faults.ids == 1 for faults in found.values()) == number:
        pieces |= set(one_id)
    if pieces:
        doubts.append(
            f"in {len(pieces)} of {number} images most numbers are in several pieces apart from each "
            f"other, {name_some(sorted(pieces))}: classes or a mask, not cells; {CURE}"
        )
    others = {name: faults for name, faults in found.items() if name not in pieces}
    ids, doubled = (
        sum(faults.ids for faults in others.values()),
        sum(faults.doubled for faults in others.values()),
    )
    if doubled >= max(DOUBLED[1], DOUBLED[0] * ids):
        names = sorted(name for name, faults in others.items() if faults.doubled)
        doubts.append(
            f"{doubled} of {ids} cells have two pieces or more that are far from each other, in "
            f"{len(names)} of {number} images, {name_some(names)}: a number for several cells, as where more "
            "than 255 were saved as 8 bit; save the numbers as 16 bit"
        )
    return None


def _labels(info: dict) -> Iterator[tuple[str, np.ndarray]]:
    """What there is to look at: a path, and whole numbers (H, W) or (L, H, W), 0 the background."""
    path = info["img_path"] if isinstance(info["img_path"], str) else info["img_path"][0]
    own = [info["label_path"]] if info.get("label_path") is not None else []
    files = own or [file for _, file in info.get("class_paths") or ()]
    for file in files:
        with suppress(CellMMError):
            label = read_ids(file)[0]
            yield file, label.astype(np.int64) if label.dtype.kind in "bf" else label
    if len(info.get("mask_paths") or ()) == 1:
        with suppress(CellMMError):
            yield path, read_mask(info["mask_paths"][0]).astype(np.uint8)
    cells = info.get("instances") or ()
    if len(cells) == 1 and not cells[0].get("iscrowd") and info.get("segmentations_checked"):
        shape = info["height"], info["width"]
        mask = rle_ops.decode([instance_rle(cells[0]["segmentation"], shape)], shape)[0]
        yield path, mask.astype(np.uint8)


def _name(path: str, root: str | Path) -> str:
    path = Path(path)
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
