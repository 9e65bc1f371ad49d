"""Read microscope images and masks from PNG, TIFF, JPEG and BMP files, or say what is wrong.

A file that is absent, cut off, of an unusable type or not finite raises a ``CellMMError`` that names it.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cellmm.errors import CellMMError
from cellmm.io.image_axes import MAX_CHANNELS, channel_numbers, choose_planes, find_channel_axis
from cellmm.io.image_file import ImageFile

EXACT_IN_FLOAT32 = 2**24


def read_image(
    path: str | Path,
    *,
    channel_axis: int | None = None,
    channels: Sequence[int | str] | None = None,
    color: str = "unchanged",
    grey: bool = False,
    level: int = 0,
    time: int | None = None,
    position: int | None = None,
    z: int | str | None = None,
) -> np.ndarray:
    """One image as float32 (H, W, C), its values unscaled.

    ``channel_axis``: the axis of the channels in a TIFF with three axes; None: the one that the file states,
    else the only axis of size 8 or less.
    ``channels``: keep these, in this order, by number or by a name that the file states.
    ``color``: 'unchanged' keeps the channels that the file has (alpha is dropped where it is opaque);
    'grayscale' and 'rgb' turn an RGB, RGBA or grey image into 1 (luma 0.299 R + 0.587 G + 0.114 B) or 3; the
    planes and channels of a TIFF are not a colour and are refused.
    ``grey``: one channel is wanted: an RGB image with three equal samples at each pixel becomes grey.
    ``level``: of a pyramid, 0 is the finest.
    ``time``, ``position``, ``z``: numbers from 0, ``z`` also 'max', the maximum over the focal planes. A file
    with several needs them; the pages of a file without a statement are time points or planes if asked for.
    """
    with ImageFile(path, level=level, position=position) as file:
        numbers, largest = choose_planes(
            path, file.axes, file.shape, time=time, z=z, channel_axis=channel_axis
        )
        if largest is None:
            image = file.read(**numbers)
        else:
            image = file.read(**numbers, **{largest: 0})
            for number in range(1, file.shape[file.axes.index(largest)]):
                np.maximum(image, file.read(**numbers, **{largest: number}), out=image)
        axes = "".join(axis for axis in file.axes if axis not in numbers and axis != largest)
        axis = find_channel_axis(path, axes, image.shape, channel_axis)
        image = image[..., None] if axis is None else np.moveaxis(image, axis, -1)
        is_color = axis is not None and axes[axis] == "S"
        if file.alpha and is_color and (color != "unchanged" or _is_opaque(image)):
            image = image[..., :-1]
        if channels is not None and any(isinstance(channel, str) for channel in channels):
            names = file.layout().channel_names
        else:
            names = ()
    if color != "unchanged":
        image = _recolor(image, color, is_color, path)
    if grey and channels is None and is_color and _is_grey(image):
        image = image[..., :1]
    if channels is not None:
        image = image[..., channel_numbers(path, channels, image.shape[2], names)]
    if image.shape[2] > MAX_CHANNELS:
        raise CellMMError(
            f"{path} has {image.shape[2]} channels (shape {image.shape}), more than {MAX_CHANNELS}: "
            "choose with channels=[...], or set channel_axis if another axis holds them"
        )
    return _to_float32(image, path)


def read_images(paths: str | Sequence[str], **options) -> np.ndarray:
    """Several files (two focal planes, say) as the channels of one image, each read by ``read_image``."""
    if isinstance(paths, str | Path):
        return read_image(paths, **options)
    images = [read_image(path, **options) for path in paths]
    for path, image in zip(paths, images, strict=True):
        if image.shape[:2] != images[0].shape[:2]:
            raise CellMMError(
                f"{path} is {image.shape[:2]} pixels, but {paths[0]} of the same image "
                f"{images[0].shape[:2]}: export them in one size"
            )
    image = np.concatenate(images, axis=2)
    if image.shape[2] > MAX_CHANNELS:
        raise CellMMError(
            f"{', '.join(map(str, paths))} make {image.shape[2]} channels, more than {MAX_CHANNELS}: "
            "leave some out"
        )
    return image


def read_mask(path: str | Path) -> np.ndarray:
    """The mask of one cell, bool (H, W), from a file of 0 and one other value."""
    with ImageFile(path, stored=True) as file:
        if file.white_is_zero:
            raise CellMMError(
                f"{path} is a TIFF in which white is zero, which leaves open what the cell is: save the mask "
                "as PNG, with 0 outside of the cell"
            )
        mask, axes = file.read(), file.axes
    if mask.ndim == 3 and axes.endswith("S") and (mask[..., :3] == mask[..., :1]).all():
        mask = mask[..., 0]
    if mask.ndim != 2:
        raise CellMMError(f"{path} has shape {mask.shape}: a mask of one cell is one grey image")
    cell = mask != 0
    if (mask[cell] != mask[cell][:1]).any():
        raise CellMMError(
            f"{path} holds {len(np.unique(mask))} values, a mask of one cell 0 and one other: "
            "threshold it, or read it as a label image"
        )
    return cell


def _is_opaque(image: np.ndarray) -> bool:
    return image.dtype.kind == "u" and bool((image[..., -1] == np.iinfo(image.dtype).max).all())


def _is_grey(image: np.ndarray) -> bool:
    return image.shape[2] == 3 and bool((image == image[..., :1]).all())


def _recolor(image: np.ndarray, color: str, is_color: bool, path: str | Path) -> np.ndarray:
    count = image.shape[2]
    if color not in ("grayscale", "rgb"):
        raise CellMMError(f"color is {color!r}: 'unchanged', 'grayscale' or 'rgb'")
    if count not in (1, 3, 4):
        raise CellMMError(
            f"{path} has {count} channels: color={color!r} takes grey, RGB and RGBA images; leave it out, or "
            "set color_type='unchanged' of LoadImageFromFile"
        )
    if count == 1:
        return image if color == "grayscale" else np.repeat(image, 3, axis=2)
    if not is_color:
        raise CellMMError(
            f"{path} has {count} planes or channels, which is not an RGB image: leave out color={color!r} "
            "and choose with channels=[...], set color_type='unchanged' of LoadImageFromFile, or save it as "
            "RGB"
        )
    image = image[..., :3]
    if color == "rgb":
        return image
    if _is_grey(image):
        return image[..., :1]
    return image.astype(np.float32) @ np.array([[0.299], [0.587], [0.114]], np.float32)


def _to_float32(image: np.ndarray, path: str | Path) -> np.ndarray:
    if np.issubdtype(image.dtype, np.floating):
        if bad := int(np.count_nonzero(~np.isfinite(image))):
            raise CellMMError(
                f"{path}: {bad} of {image.size} values are NaN or infinite; repair or leave out the file"
            )
        if np.abs(image).max() > np.finfo(np.float32).max:
            raise CellMMError(
                f"{path}: values up to {np.abs(image).max():g} do not fit float32; rescale the image"
            )
    elif np.issubdtype(image.dtype, np.integer):
        if image.dtype.itemsize > 2 and max(int(image.max()), -int(image.min())) > EXACT_IN_FLOAT32:
            raise CellMMError(
                f"{path}: {image.dtype} values above 2^24 are not exact in float32; save as 16 bit"
            )
    elif image.dtype != bool:
        raise CellMMError(f"{path} has type {image.dtype}: save it as 8 or 16 bit integers, or as float")
    return np.ascontiguousarray(image, dtype=np.float32)
