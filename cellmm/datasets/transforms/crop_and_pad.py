"""Fixed crop, resize and pad: geometry that test pipelines can take back."""

from collections.abc import Sequence

from mmcv.transforms import BaseTransform

from cellmm.datasets.transforms.geometry import crop, end_padding, pad, rescale, resize
from cellmm.errors import CellMMError
from cellmm.registry import TRANSFORMS


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
        return crop(results, self.y0, self.x0, self.y1, self.x1, step=type(self).__name__)


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
        return rescale(results, self.factor, step=type(self).__name__)


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
        if self.keep_ratio:  # not as Resize, which compares the longer side with the larger number
            old = results["img"].shape[:2]
            factor = min(n / o for n, o in zip(new, old, strict=True))
            new = tuple(max(1, round(o * factor)) for o in old)
        return resize(results, new, step=type(self).__name__)


@TRANSFORMS.register_module()
class PadTo(BaseTransform):
    """Pad at the bottom and right with ``value``, to at least ``size`` and to multiples of ``divisor``."""

    reads = ("img",)
    moves_pixels = True

    def __init__(self, *, size: Sequence[int] = (1, 1), divisor: int = 1, value: float = 0.0) -> None:
        self.size, self.divisor, self.value = tuple(size), divisor, value

    def transform(self, results: dict) -> dict:
        bottom, right = end_padding(results["img"].shape[:2], self.size, self.divisor)
        return pad(results, (0, bottom), (0, right), step=type(self).__name__, constant_values=self.value)


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
        return pad(results, self.pad, self.pad, step=type(self).__name__, ignored=True, **self.how)
