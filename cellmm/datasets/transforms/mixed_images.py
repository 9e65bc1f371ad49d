"""Images made of several of the dataset, with the cells of all of them: Mosaic, CutMix and MixUp."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from mmcv.transforms import BaseTransform

from cellmm.checks import check_share
from cellmm.datasets.transforms.mixing import other_image, refuse_to_mix
from cellmm.datasets.transforms.moving_cells import moving_layers, replace_cells
from cellmm.registry import TRANSFORMS
from cellmm.structures import LabelLayers

WRITES = ("img", "ignore", "gt_layers", "gt_labels", "gt_ignore", "gt_areas", "gt_nuclei")


class Part(NamedTuple):
    """The pixels ``source`` of an image, which go to ``place`` of the new one: a rectangle each."""

    results: dict
    source: tuple[slice, slice]
    place: tuple[slice, slice]


class _MixedImages(BaseTransform):
    """What the three have in common: when they run, and what they refuse."""

    reads = ("img", "gt_layers", "gt_labels", "rng", "dataset")
    writes = WRITES
    adds_cells = True
    removes_cells = True
    mixes_images = True

    def __init__(self, *, prob: float = 0.5) -> None:
        check_share(prob=prob)
        self.prob = prob

    def transform(self, results: dict) -> dict:
        refuse_to_mix(results, self)
        if results["rng"].random() < self.prob:
            self.mix(results)
        return results

    def mix(self, results: dict) -> None:
        raise NotImplementedError


@TRANSFORMS.register_module()
class Mosaic(_MixedImages):
    """Four images of the dataset that meet at a random point, in the size of this one.

    This image and three others, which have gone through the steps before this one, each fill a corner with a
    random crop. Cells end at the seams. Where an image is smaller than its corner, pixels are 0 and in
    ``ignore``. ``gt_areas`` become nan. Source: YOLOv4 (Bochkovskiy 2020); the ranges are ours.

    Args:
        prob: that it happens at all.
        center_ratio_range: (least, most) share of the height, and of the width, at which the four meet.

    Raises CellMMError in test pipelines, before LoadCells and after steps that write targets.
    """

    def __init__(self, *, prob: float = 0.5, center_ratio_range: Sequence[float] = (0.25, 0.75)) -> None:
        super().__init__(prob=prob)
        pair = center_ratio_range
        if np.shape(pair) != (2,) or not 0 <= pair[0] <= pair[1] <= 1:
            raise ValueError(f"Mosaic: center_ratio_range must be (least, most) from 0 to 1, got {pair!r}")
        self.center_ratio_range = tuple(pair)

    def mix(self, results: dict) -> None:
        rng, (height, width) = results["rng"], results["img"].shape[:2]
        y, x = (int(side * rng.uniform(*self.center_ratio_range)) for side in (height, width))
        corners = [(rows, columns) for rows in ((0, y), (y, height)) for columns in ((0, x), (x, width))]
        images = [dict(results), *(other_image(results, self) for _ in range(3))]
        parts = [
            _random_part(image, *corner, rng)
            for image, corner in zip(images, rng.permutation(corners), strict=True)
        ]
        join_images(results, parts, keeps_below=False)


@TRANSFORMS.register_module()
class CutMix(_MixedImages):
    """A rectangle of another image in the place of this one's pixels and cells.

    The rectangle has the proportions of this image and the share 1 - l of its area, where l is drawn from a
    beta distribution; its middle is anywhere, so the border may cut it. Cells end at its edge. ``gt_areas``
    become nan. Source: CutMix (Yun 2019).

    Args:
        prob: that it happens at all.
        alpha: both parameters of the beta distribution; 1: any share is as likely.

    Raises CellMMError in test pipelines, before LoadCells and after steps that write targets.
    """

    def __init__(self, *, prob: float = 0.5, alpha: float = 1.0) -> None:
        super().__init__(prob=prob)
        self.alpha = _check_alpha("CutMix", alpha)

    def mix(self, results: dict) -> None:
        rng, shape = results["rng"], np.array(results["img"].shape[:2])
        half = shape * np.sqrt(1 - rng.beta(self.alpha, self.alpha)) / 2
        middle = rng.uniform(0, shape)
        low = np.clip(np.rint(middle - half), 0, shape).astype(int)
        high = np.clip(np.rint(middle + half), 0, shape).astype(int)
        whole = _random_part(dict(results), (0, shape[0]), (0, shape[1]), rng)
        patch = _random_part(other_image(results, self), (low[0], high[0]), (low[1], high[1]), rng)
        join_images(results, [whole, patch], keeps_below=False)


@TRANSFORMS.register_module()
class MixUp(_MixedImages):
    """Another image shines through this one: a weighted mean of pixels, with the cells of both.

    Where cells of the two lie on each other, they overlap. The other image is cropped, or covers a part of
    this one, at random. ``gt_areas`` become nan. Source: mixup (Zhang 2018); all cells are kept, as YOLOX
    (Ge 2021) does.

    Args:
        prob: that it happens at all.
        alpha: both parameters of the beta distribution of this image's weight; 8: from about .2 to .8.

    Raises CellMMError in test pipelines, before LoadCells and after steps that write targets.
    """

    def __init__(self, *, prob: float = 0.5, alpha: float = 8.0) -> None:
        super().__init__(prob=prob)
        self.alpha = _check_alpha("MixUp", alpha)

    def mix(self, results: dict) -> None:
        rng, (height, width) = results["rng"], results["img"].shape[:2]
        weight = rng.beta(self.alpha, self.alpha)
        whole = _random_part(dict(results), (0, height), (0, width), rng)
        other = _random_part(other_image(results, self), (0, height), (0, width), rng)
        join_images(results, [whole, other], keeps_below=True, weight=1 - weight)


def join_images(results: dict, parts: Sequence[Part], *, keeps_below: bool, weight: float = 1.0) -> None:
    """Make the image and the cells of ``results`` of ``parts``, laid on each other in their order.

    Pixels that no part reaches are 0 and in ``ignore``. Cells without a pixel are dropped.

    Args:
        keeps_below: cells, and pixels in ``ignore``, of the parts below stay.
        weight: of a part's pixels where it lies on another one; the rest is that of the parts below.
    """
    shape = results["img"].shape[:2]
    image, reached = np.zeros_like(results["img"]), np.zeros(shape, bool)
    ignore = np.zeros(shape, bool)
    stacks = {key: [] for key in ("gt_layers", "gt_nuclei") if key in results}
    num = 0
    for part in parts:
        pixels, below = part.results["img"][part.source], image[part.place]
        share = np.where(reached[part.place], weight, 1.0)[..., None].astype(np.float32)
        image[part.place] = below + share * (pixels - below)
        reached[part.place] = True
        own = part.results["ignore"][part.source] if "ignore" in part.results else False
        ignore[part.place] = own | (ignore[part.place] & keeps_below)
        for key, stack in stacks.items():
            _lay(stack, part, part.results[key], shape, num, keeps_below)
        num += len(part.results["gt_layers"])
    results["img"] = image
    if "ignore" in results or ignore.any() or not reached.all():
        results["ignore"] = ignore | ~reached
    for key, stack in stacks.items():
        results[key] = LabelLayers(np.stack(stack), num=num)
    for key in ("gt_labels", "gt_ignore"):
        if key in results:
            results[key] = np.concatenate([part.results[key] for part in parts])
    if "gt_areas" in results:
        results["gt_areas"] = np.full(num, np.nan)
    replace_cells(results, moving_layers(results).layers)


def _lay(
    stack: list[np.ndarray],
    part: Part,
    cells: LabelLayers,
    shape: tuple[int, int],
    first: int,
    keeps_below: bool,
) -> None:
    """Put the cells of a part, with ids above ``first``, on the layers of ``stack``, or on new ones."""
    old = 0 if not keeps_below else len(stack)
    while len(stack) < old + cells.num_layers:
        stack.append(np.zeros(shape, np.int32))
    if not keeps_below:
        for layer in stack:
            layer[part.place] = 0
    for layer, ids in zip(stack[old:], cells.layers[(slice(None), *part.source)], strict=False):
        layer[part.place] = np.where(ids > 0, ids + np.int32(first), 0)


def _random_part(image: dict, rows: Sequence[int], columns: Sequence[int], rng: np.random.Generator) -> Part:
    """A random crop of ``image`` for the rectangle from rows[0] to rows[1] and so on; a smaller image lies
    anywhere in it.
    """
    source, place = [], []
    for side, (low, high) in zip(image["img"].shape[:2], (rows, columns), strict=True):
        length = min(side, high - low)
        start, offset = int(rng.integers(side - length + 1)), int(rng.integers(high - low - length + 1))
        source.append(slice(start, start + length))
        place.append(slice(int(low) + offset, int(low) + offset + length))
    return Part(image, tuple(source), tuple(place))


def _check_alpha(name: str, alpha: float) -> float:
    if not 0 < alpha < np.inf:
        raise ValueError(f"{name}: alpha must be above 0, got {alpha!r}")
    return alpha
