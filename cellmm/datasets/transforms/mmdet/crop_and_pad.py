"""Crops and padding with MMDetection's arguments."""

from collections.abc import Sequence

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from cellmm.datasets.transforms.geometry import crop, end_padding, pad
from cellmm.datasets.transforms.mmdet.arguments import NO_BOXES, pair, refuse, training_rng
from cellmm.errors import CellMMError
from cellmm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class CenterCrop(BaseTransform):
    """Keep the middle of the image, or all of a side that is shorter.

    Args:
        crop_size: (width, height), px, or one number for both.
        auto_pad, pad_cfg: refused; ``Pad`` before it does the same.
        clip_object_border: only True.
    """

    reads = ("img",)
    moves_pixels = True
    removes_cells = True

    def __init__(
        self,
        *,
        crop_size: int | Sequence[int],
        auto_pad: bool = False,
        pad_cfg: dict | None = None,
        clip_object_border: bool = True,
    ) -> None:
        before = "put dict(type='Pad', size=(width, height)) before it"
        refuse("CenterCrop", "auto_pad", auto_pad, (False,), before)
        refuse("CenterCrop", "pad_cfg", pad_cfg, (None,), before)
        refuse("CenterCrop", "clip_object_border", clip_object_border, (True,), NO_BOXES)
        self.crop_size = pair("CenterCrop", "crop_size", crop_size)

    def transform(self, results: dict) -> dict:
        shape = results["img"].shape[:2]
        size = [min(new, old) for new, old in zip(self.crop_size[::-1], shape, strict=True)]
        y, x = (round((old - new) / 2) for old, new in zip(shape, size, strict=True))
        return crop(results, y, x, y + size[0], x + size[1], step=type(self).__name__)


@TRANSFORMS.register_module()
class RandomCrop(BaseTransform):
    """Keep a random rectangle of the image, or all of a side that is shorter.

    Args:
        crop_size: what it means depends on ``crop_type``:
        crop_type: 'absolute': (width, height), px; 'absolute_range': each side is drawn from (least, most)
            px; 'relative': the share of (width, height); 'relative_range': each side's share is drawn from
            its ``crop_size`` to 1.
        allow_negative_crop: take crops without a cell too. If False, only places that show a pixel of a cell
            are drawn, crowd regions aside; an image without cells is cropped anywhere.
        recompute_bbox: either value; boxes are always those of the masks.
        bbox_clip_border: only True.
    """

    reads = ("img", "rng")
    moves_pixels = True
    removes_cells = True

    def __init__(
        self,
        *,
        crop_size: Sequence[float],
        crop_type: str = "absolute",
        allow_negative_crop: bool = False,
        recompute_bbox: bool = False,
        bbox_clip_border: bool = True,
    ) -> None:
        types = ("absolute", "absolute_range", "relative", "relative_range")
        refuse("RandomCrop", "crop_type", crop_type, types, f"choose among {', '.join(types)}")
        refuse("RandomCrop", "bbox_clip_border", bbox_clip_border, (True,), NO_BOXES)
        is_relative = crop_type.startswith("relative")
        self.crop_size = pair("RandomCrop", "crop_size", crop_size, (int, float) if is_relative else int)
        if is_relative and max(self.crop_size) > 1:
            raise ValueError(f"RandomCrop: crop_size is {crop_size!r}; shares are above 0 and at most 1")
        if crop_type == "absolute_range" and self.crop_size[0] > self.crop_size[1]:
            raise ValueError(f"RandomCrop: crop_size is {crop_size!r}; give (least, most) px")
        self.crop_type, self.allow_negative_crop = crop_type, allow_negative_crop

    def transform(self, results: dict) -> dict:
        rng, shape = training_rng(results, "RandomCrop"), results["img"].shape[:2]
        height, width = self._size(shape, rng)
        learned = None if self.allow_negative_crop else _learned(results)
        if learned is None:
            y, x = (
                int(rng.integers(0, old - new + 1)) for old, new in zip(shape, (height, width), strict=True)
            )
        else:
            shows = _shows(learned, height, width)
            y, x = divmod(int(rng.choice(np.flatnonzero(shows))), shows.shape[1])
        return crop(results, y, x, y + height, x + width, step=type(self).__name__)

    def _size(self, shape: Sequence[int], rng: np.random.Generator) -> tuple[int, int]:
        """(h, w) of the crop, px, at most those of the image."""
        rows, columns = self.crop_size[::-1]
        if self.crop_type == "absolute_range":
            least, most = self.crop_size
            return tuple(int(rng.integers(min(n, least), min(n, most) + 1)) for n in shape)
        if self.crop_type == "relative_range":
            rows, columns = rng.uniform(rows, 1), rng.uniform(columns, 1)
        if self.crop_type != "absolute":
            rows, columns = int(shape[0] * rows + 0.5), int(shape[1] * columns + 0.5)
        return max(1, min(rows, shape[0])), max(1, min(columns, shape[1]))


def _learned(results: dict) -> np.ndarray | None:
    """The pixels of cells that are learned, bool (H, W); None where there are none."""
    if "gt_layers" not in results:
        return None
    is_cell = np.append(False, ~results["gt_ignore"])
    pixels = is_cell[results["gt_layers"].layers].any(axis=0)
    return pixels if pixels.any() else None


def _shows(learned: np.ndarray, height: int, width: int) -> np.ndarray:
    """Whether a crop of ``height`` x ``width`` px shows a learned pixel, by the place of its first pixel."""
    sums = cv2.integral(learned.astype(np.uint8))
    low, high = sums[:-height], sums[height:]
    return high[:, width:] - high[:, :-width] - low[:, width:] + low[:, :-width] > 0


@TRANSFORMS.register_module()
class Pad(BaseTransform):
    """Pad the image at the bottom and right; no cell is there.

    Args:
        size: (width, height), px, at least.
        size_divisor: both sides become multiples of it.
        pad_to_square: the longer side, for both.
        pad_val: of the image: a number, one per channel, or dict(img=...), whose other keys are not used.
        padding_mode: only 'constant'.
    """

    reads = ("img",)
    moves_pixels = True

    def __init__(
        self,
        *,
        size: Sequence[int] | None = None,
        size_divisor: int | None = None,
        pad_to_square: bool = False,
        pad_val: float | Sequence[float] | dict = 0,
        padding_mode: str = "constant",
    ) -> None:
        mirror = "leave it out, or use MirrorPad: mirrored cells would count twice"
        refuse("Pad", "padding_mode", padding_mode, ("constant",), mirror)
        if [size, size_divisor].count(None) == (2 if not pad_to_square else 0):
            raise ValueError("Pad: give one of size, size_divisor and pad_to_square")
        if size is not None and (size_divisor is not None or pad_to_square):
            raise ValueError("Pad: size goes with neither size_divisor nor pad_to_square; leave one out")
        self.size = (1, 1) if size is None else pair("Pad", "size", size)
        self.divisor = 1 if size_divisor is None else pair("Pad", "size_divisor", size_divisor)[0]
        self.pad_to_square = pad_to_square
        self.value = pad_val.get("img", 0) if isinstance(pad_val, dict) else pad_val

    def transform(self, results: dict) -> dict:
        height, width, channels = results["img"].shape
        if np.ndim(self.value) and len(self.value) != channels:
            raise CellMMError(
                f"Pad: pad_val has {len(self.value)} numbers, {results.get('img_path')} {channels} channels: "
                "give one per channel"
            )
        size = [max(height, width)] * 2 if self.pad_to_square else self.size[::-1]
        bottom, right = end_padding((height, width), size, self.divisor)
        pad(results, (0, bottom), (0, right), step=type(self).__name__)
        results["img"][height:] = self.value
        results["img"][:, width:] = self.value
        return results
