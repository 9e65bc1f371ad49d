"""Fixed crop, resize and pad: geometry that test pipelines can take back."""

from collections.abc import Sequence

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from cellmm.datasets.transforms.moving_cells import (
    moving_layers,
    refuse_moved_targets,
    replace_cells,
    smallest_type,
)
from cellmm.errors import CellMMError
from cellmm.registry import TRANSFORMS
from cellmm.structures import LabelLayers


@TRANSFORMS.register_module()
class CropRegion(BaseTransform):
    """Cut rows ``y0`` to ``y1`` and columns ``x0`` to ``x1`` (px, ends excluded) out of image and cells.

    Raises CellMMError naming the file where the image is smaller than that.
    """

    reads = ("img",)
    moves_pixels = True
    removes_cells = True

    def __init__(self, *, y0: int, x0: int, y1: int, x1: int) -> None:
        if not (0 <= y0 < y1 and 0 <= x0 < x1):
            raise ValueError(f"an empty or negative region: rows {y0} to {y1}, columns {x0} to {x1}")
        self.y0, self.x0, self.y1, self.x1 = y0, x0, y1, x1

    def transform(self, results: dict) -> dict:
        height, width = results["img"].shape[:2]
        if self.y1 > height or self.x1 > width:
            raise CellMMError(
                f"{results.get('img_path')} is {height}x{width} pixels, smaller than the region to crop, "
                f"rows to {self.y1} and columns to {self.x1}: change CropRegion in the config"
            )
        results["img"] = results["img"][self.y0 : self.y1, self.x0 : self.x1]
        if "gt_layers" in results:
            layers = moving_layers(results).layers
            replace_cells(results, layers[:, self.y0 : self.y1, self.x0 : self.x1])
        if "ignore" in results:
            results["ignore"] = results["ignore"][self.y0 : self.y1, self.x0 : self.x1]
        _moved(results, np.array([[1, 0, self.x0], [0, 1, self.y0], [0, 0, 1]]))
        return results


@TRANSFORMS.register_module()
class Rescale(BaseTransform):
    """Scale image (area averaging to shrink, else linear) and cells (nearest) by ``factor``.

    A cell of n pixels across comes out with n * ``factor``, however large its image is. Where pixels of
    several microscopes differ in size, give each dataset the factor that makes them alike.
    """

    reads = ("img",)
    moves_pixels = True

    def __init__(self, *, factor: float) -> None:
        if not 0 < factor < float("inf"):
            raise ValueError(f"Rescale: factor is {factor}; give a number above 0, 0.5 for half the size")
        self.factor = factor
        self.removes_cells = factor < 1  # those that are too small to keep a pixel

    def transform(self, results: dict) -> dict:
        height, width = results["img"].shape[:2]
        return _resize(results, (max(1, round(height * self.factor)), max(1, round(width * self.factor))))


@TRANSFORMS.register_module()
class ResizeTo(BaseTransform):
    """Resize image (area averaging to shrink, else linear) and cells (nearest) to ``size`` (h, w).

    Cells of a large image come out smaller than those of a small one, and test and predict refuse images
    whose scale is not one of training: for images of several sizes take Rescale. ``keep_ratio``: the
    largest size of the same proportions that fits into ``size``.
    """

    reads = ("img",)
    moves_pixels = True
    removes_cells = True

    def __init__(self, *, size: Sequence[int], keep_ratio: bool = False) -> None:
        self.size, self.keep_ratio = tuple(size), keep_ratio

    def transform(self, results: dict) -> dict:
        new = self.size
        if self.keep_ratio:
            old = results["img"].shape[:2]
            factor = min(n / o for n, o in zip(new, old, strict=True))
            new = tuple(max(1, round(o * factor)) for o in old)
        return _resize(results, new)


@TRANSFORMS.register_module()
class PadTo(BaseTransform):
    """Pad at the bottom and right with ``value``, to at least ``size`` and to multiples of ``divisor``."""

    reads = ("img",)
    moves_pixels = True

    def __init__(self, *, size: Sequence[int] = (1, 1), divisor: int = 1, value: float = 0.0) -> None:
        self.size, self.divisor, self.value = tuple(size), divisor, value

    def transform(self, results: dict) -> dict:
        height, width = (max(n, s) for n, s in zip(results["img"].shape[:2], self.size, strict=True))
        bottom = height + -height % self.divisor - results["img"].shape[0]
        right = width + -width % self.divisor - results["img"].shape[1]
        results["img"] = np.pad(results["img"], ((0, bottom), (0, right), (0, 0)), constant_values=self.value)
        _pad_cells(results, (0, bottom), (0, right))
        if "ignore" in results:
            results["ignore"] = np.pad(results["ignore"], ((0, bottom), (0, right)))
        _moved(results, np.eye(3))
        return results


@TRANSFORMS.register_module()
class MirrorPad(BaseTransform):
    """Mirror ``top_left`` and ``bottom_right`` px of the image at its borders; cells end where they end.

    For nets without padding, which give less than they take (the overlap-tile strategy, diskmask 2.2.2). What
    is mirrored is in ``ignore``, bool (H, W). The outermost pixel is not repeated. ``value``: pixels of this
    value in place of mirrored ones.
    """

    reads = ("img",)
    moves_pixels = True

    def __init__(self, *, top_left: int, bottom_right: int, value: float | None = None) -> None:
        if min(top_left, bottom_right) < 0:
            raise ValueError(f"MirrorPad: {top_left} and {bottom_right} px: 0 or more is needed")
        self.pad = (top_left, bottom_right)
        self.how = dict(mode="reflect") if value is None else dict(mode="constant", constant_values=value)

    def transform(self, results: dict) -> dict:
        shape = results["img"].shape[:2]
        results["img"] = np.pad(results["img"], (self.pad, self.pad, (0, 0)), **self.how)
        ignore = results.get("ignore", np.zeros(shape, dtype=bool))
        results["ignore"] = np.pad(ignore, self.pad, constant_values=True)
        _pad_cells(results, self.pad, self.pad)
        top_left = self.pad[0]
        _moved(results, np.array([[1, 0, -top_left], [0, 1, -top_left], [0, 0, 1]]))
        return results


def _pad_cells(results: dict, rows: tuple[int, int], columns: tuple[int, int]) -> None:
    for key in ("gt_layers", "gt_nuclei"):
        if key in results:
            layers = np.pad(results[key].layers, ((0, 0), rows, columns))
            results[key] = LabelLayers(layers, num=len(results[key]))


def _resize(results: dict, new: tuple[int, int]) -> dict:
    """Image, cells, nuclei and ignored pixels in the size ``new``, (h, w)."""
    old = results["img"].shape[:2]
    if new == old:
        return results
    shrinks = new[0] * new[1] < old[0] * old[1]
    flags = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    planes = [cv2.resize(plane, new[::-1], interpolation=flags) for plane in _planes(results["img"])]
    results["img"] = np.stack(planes, axis=-1)
    if "gt_layers" in results:
        cells = moving_layers(results)
        layers = [
            cv2.resize(layer, new[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
            for layer in cells.layers.astype(smallest_type(len(cells)))
        ]
        replace_cells(results, np.stack(layers))
    if "ignore" in results:
        ignore = results["ignore"].astype(np.uint8)
        ignore = cv2.resize(ignore, new[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
        results["ignore"] = ignore.astype(bool)
    fy, fx = old[0] / new[0], old[1] / new[1]
    _moved(results, np.array([[fx, 0, (fx - 1) / 2], [0, fy, (fy - 1) / 2], [0, 0, 1]]))
    return results


def _planes(image: np.ndarray) -> list[np.ndarray]:
    return [np.ascontiguousarray(image[..., c]) for c in range(image.shape[2])]


def _moved(results: dict, to_previous: np.ndarray) -> None:
    """Note the new size; compose ``to_original`` with the way back of this step, (x, y, 1) to (x, y, 1)."""
    refuse_moved_targets(results, "a step that crops, resizes or pads")
    results["img_shape"] = results["img"].shape[:2]
    results["to_original"] = results.get("to_original", np.eye(3)) @ to_previous
