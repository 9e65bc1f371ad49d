"""Resizing with MMDetection's arguments."""

from collections.abc import Sequence

import cv2
from mmcv.transforms import BaseTransform

from cellmm.datasets.transforms.geometry import resize
from cellmm.datasets.transforms.mmdet.arguments import NO_BOXES, pair, refuse, training_rng
from cellmm.registry import TRANSFORMS

# those that keep the centres of pixels in place, as the cells' does: INTER_NEAREST moves the image by up to
# half an output pixel, and so does INTER_AREA along a side that grows
INTERPOLATIONS = dict(
    nearest=cv2.INTER_NEAREST_EXACT,
    bilinear=cv2.INTER_LINEAR,
    bicubic=cv2.INTER_CUBIC,
    area=None,
    lanczos=cv2.INTER_LANCZOS4,
)
BACKEND = "leave it out; images are resized by OpenCV"


@TRANSFORMS.register_module()
class Resize(BaseTransform):
    """Resize the image with ``interpolation`` and its cells by the nearest pixel.

    Writes ``scale_factor``, (along x, along y). With ``scale`` the cells of a large image come out smaller
    than those of a small one; test and predict then refuse images whose scale is not one of training. For
    images of several sizes give ``scale_factor``.

    Args:
        scale: (width, height), px, or one number for both. Comes before ``scale_factor``.
        scale_factor: a number for both axes, or (along x, along y).
        keep_ratio: the largest size of the same proportions whose longer side is at most the larger number
            of ``scale`` and whose shorter side is at most the smaller one.
        interpolation: 'nearest', 'bilinear', 'bicubic', 'area' or 'lanczos'. Only 'area' averages all pixels
            when it shrinks; where a side grows, it is 'bilinear'. Unlike mmcv's, neither 'area' nor 'nearest'
            moves the image against its cells.
        clip_object_border, backend: only MMDetection's defaults.
    """

    reads = ("img",)
    writes = ("scale_factor",)
    moves_pixels = True

    def __init__(
        self,
        *,
        scale: int | Sequence[int] | None = None,
        scale_factor: float | Sequence[float] | None = None,
        keep_ratio: bool = False,
        clip_object_border: bool = True,
        backend: str = "cv2",
        interpolation: str = "bilinear",
    ) -> None:
        refuse("Resize", "clip_object_border", clip_object_border, (True,), NO_BOXES)
        refuse("Resize", "backend", backend, ("cv2",), BACKEND)
        choices = f"choose among {', '.join(INTERPOLATIONS)}"
        refuse("Resize", "interpolation", interpolation, tuple(INTERPOLATIONS), choices)
        if scale is None and scale_factor is None:
            raise ValueError("Resize: scale and scale_factor are missing; give one of them")
        self.scale = None if scale is None else pair("Resize", "scale", scale)
        factors = None if scale_factor is None else pair("Resize", "scale_factor", scale_factor, (int, float))
        self.scale_factor = factors
        self.keep_ratio, self.interpolation = keep_ratio, INTERPOLATIONS[interpolation]
        self.removes_cells = scale is not None or min(factors) < 1  # those too small to keep a pixel

    def transform(self, results: dict) -> dict:
        return self.resize_to(results, self.scale, step=type(self).__name__)

    def resize_to(self, results: dict, scale: tuple[int, int] | None, *, step: str) -> dict:
        """Resize to ``scale``, (width, height); None: by ``scale_factor``. ``step``: its name in messages."""
        height, width = results["img"].shape[:2]
        if scale is None:
            scale = tuple(int(n * f + 0.5) for n, f in zip((width, height), self.scale_factor, strict=True))
        new = scale[::-1]
        if self.keep_ratio:
            factor = min(max(scale) / max(height, width), min(scale) / min(height, width))
            new = int(height * factor + 0.5), int(width * factor + 0.5)
        new = max(1, new[0]), max(1, new[1])
        results["scale_factor"] = new[1] / width, new[0] / height
        return resize(results, new, self.interpolation, step=step)


@TRANSFORMS.register_module()
class RandomResize(BaseTransform):
    """Resize the image and its cells to a random ``scale``; see Resize for the other arguments.

    Sizes that are drawn count for the scales that a model was trained on: test and predict take images whose
    cells come in any of these.

    Args:
        scale: (width, height), px, which ``ratio_range`` multiplies; or two of them, between which width and
            height are drawn.
        ratio_range: (lowest, highest) factor of ``scale``.
        resize_type: only 'Resize'.
    """

    reads = ("img", "rng")
    writes = ("scale_factor",)
    moves_pixels = True
    removes_cells = True

    def __init__(
        self,
        *,
        scale: Sequence[int] | Sequence[Sequence[int]],
        ratio_range: Sequence[float] | None = None,
        resize_type: str = "Resize",
        keep_ratio: bool = False,
        clip_object_border: bool = True,
        backend: str = "cv2",
        interpolation: str = "bilinear",
    ) -> None:
        refuse("RandomResize", "resize_type", resize_type, ("Resize",), "leave it out")
        is_range = isinstance(scale, list | tuple) and any(isinstance(n, list | tuple) for n in scale)
        if is_range == (ratio_range is not None) or (is_range and len(scale) != 2):
            raise ValueError(
                f"RandomResize: scale is {scale!r} with ratio_range {ratio_range!r}; give (width, height) "
                "and ratio_range, or two pairs of (width, height) without ratio_range"
            )
        pairs = scale if is_range else [scale]
        self.scales = [pair("RandomResize", "scale", given) for given in pairs]
        self.ratio_range = ratio_range and sorted(
            pair("RandomResize", "ratio_range", ratio_range, (int, float))
        )
        self.resize = Resize(
            scale=self.scales[0],
            keep_ratio=keep_ratio,
            clip_object_border=clip_object_border,
            backend=backend,
            interpolation=interpolation,
        )

    def transform(self, results: dict) -> dict:
        rng = training_rng(results, "RandomResize")
        if self.ratio_range:
            ratio = rng.uniform(*self.ratio_range)
            scale = tuple(int(n * ratio) for n in self.scales[0])
        else:
            scale = tuple(int(rng.integers(min(n), max(n) + 1)) for n in zip(*self.scales, strict=True))
        return self.resize.resize_to(results, scale, step=type(self).__name__)
