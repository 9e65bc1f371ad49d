"""RGB, RGBA and grey pixels (h, w, C), one turned into another pixel by pixel."""

import numpy as np

from cellmm.errors import CellMMError
from cellmm.io.sources.base import COLORS

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def check_color(color: str, count: int, is_color: bool, what: str) -> None:
    """Raise CellMMError where ``count`` channels of the image ``what`` cannot become ``color``.

    ``is_color``: the channels are the samples of a colour.
    """
    if color not in COLORS:
        raise CellMMError(f"color is {color!r}: 'unchanged', 'grayscale' or 'rgb'")
    if color == "unchanged" or count == 1:
        return
    if count not in (3, 4):
        raise CellMMError(
            f"{what} has {count} channels: color={color!r} takes grey, RGB and RGBA images; leave it out, or "
            "set color_type='unchanged' of LoadImageFromFile"
        )
    if not is_color:
        raise CellMMError(
            f"{what} has {count} planes or channels, which is not an RGB image: leave out color={color!r} "
            "and choose with channels=[...], set color_type='unchanged' of LoadImageFromFile, or save it as "
            "RGB"
        )


def recolored(count: int, dtype: np.dtype, color: str) -> tuple[int, np.dtype]:
    """How many channels ``recolor`` gives, and of which type."""
    if color == "unchanged":
        return count, dtype
    if color == "rgb":
        return 3, dtype
    return 1, dtype if count == 1 else np.dtype(np.float32)


def recolor(image: np.ndarray, color: str) -> np.ndarray:
    """Pixels in ``color``; those of a part of an image are the same as in the whole.

    The luma of three equal samples is their value, without rounding.
    """
    count = image.shape[2]
    if color == "unchanged" or (color == "grayscale" and count == 1):
        return image
    if count == 1:
        return np.repeat(image, 3, axis=2)
    image = image[..., :3]
    if color == "rgb":
        return image
    red, green, blue = (image[..., i].astype(np.float32) for i in range(3))
    luma = red * np.float32(LUMA[0]) + green * np.float32(LUMA[1]) + blue * np.float32(LUMA[2])
    return np.where((red == green) & (red == blue), red, luma)[..., None]


def is_grey(image: np.ndarray) -> bool:
    """Whether the image has three samples, equal in each pixel."""
    return image.shape[2] == 3 and bool((image == image[..., :1]).all())
