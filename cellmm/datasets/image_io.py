"""Read microscope images, label images and masks from PNG, TIFF, JPEG and BMP files, or say what is wrong.

A file that is absent, cut off, of an unusable type or not finite is a ``CellMMError`` that names it.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import tifffile

from cellmm.errors import CellMMError
from cellmm.structures import LabelLayers

MAX_CHANNELS = 8
EXACT_IN_FLOAT32 = 2**24
_ENDS = {b"\x89PNG": b"IEND\xaeB`\x82", b"\xff\xd8": b"\xff\xd9"}


def read_image(
    path: str | Path,
    *,
    channel_axis: int | None = None,
    channels: Sequence[int] | None = None,
    color: str = "unchanged",
) -> np.ndarray:
    """One image as float32 (H, W, C), its values unscaled.

    ``channel_axis``: the axis of the channels in a TIFF of three axes; None takes what the file states, else
    the only axis of at most 8.
    ``channels``: keep these, in this order.
    ``color``: 'unchanged' keeps the channels that the file has (an opaque alpha channel of a PNG is dropped);
    'grayscale' and 'rgb' turn an RGB, RGBA or grey image into 1 (luma 0.299 R + 0.587 G + 0.114 B) or 3.
    """
    image, axes = _read(Path(path))
    image = _channels_last(image, axes, channel_axis, path)
    is_png = Path(path).suffix.lower() == ".png"
    if color != "unchanged":
        image = _recolor(image, color, path)
    elif is_png and image.shape[2] == 4 and (image[..., 3] == np.iinfo(image.dtype).max).all():
        image = image[..., :3]
    if channels is not None:
        if max(channels) >= image.shape[2] or min(channels) < 0:
            raise CellMMError(
                f"{path} has {image.shape[2]} channels, 0 to {image.shape[2] - 1}; asked for {channels}"
            )
        image = image[..., list(channels)]
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
                f"{path} is {image.shape[:2]} pixels, but {paths[0]} of the same image {images[0].shape[:2]}"
            )
    image = np.concatenate(images, axis=2)
    if image.shape[2] > MAX_CHANNELS:
        raise CellMMError(
            f"{', '.join(map(str, paths))} make {image.shape[2]} channels, more than {MAX_CHANNELS}"
        )
    return image


def read_label_layers(path: str | Path) -> LabelLayers:
    """A label image of one page, or of several layers, with the ids renumbered 1..N in ascending order."""
    label, axes = _read(Path(path))
    if axes.endswith("S") or label.ndim not in (2, 3):
        raise CellMMError(
            f"{path} is a colour image of shape {label.shape}, not a label image: save the ids as 16 bit"
        )
    if np.issubdtype(label.dtype, np.floating):
        if not (np.isfinite(label).all() and (label == np.round(label)).all()):
            raise CellMMError(f"{path} is no label image: it holds fractions or NaN; save the ids as 16 bit")
        label = label.astype(np.int64)
    try:
        return LabelLayers.from_label_image(label)
    except CellMMError as error:
        raise CellMMError(f"{path}: {error}") from error


def read_mask(path: str | Path) -> np.ndarray:
    """The mask of one cell, bool (H, W), from a file of 0 and one other value."""
    mask, axes = _read(Path(path))
    if mask.ndim == 3 and axes.endswith("S") and (mask[..., :3] == mask[..., :1]).all():
        mask = mask[..., 0]
    if mask.ndim != 2:
        raise CellMMError(f"{path} has shape {mask.shape}: a mask of one cell is one grey image")
    top = mask.max()
    if not ((mask == 0) | (mask == top)).all():
        raise CellMMError(
            f"{path} holds {len(np.unique(mask))} values, a mask of one cell 0 and one other: "
            "threshold it, or read it as a label image"
        )
    return mask > 0


def _read(path: Path) -> tuple[np.ndarray, str]:
    """The pixels as stored, and one letter an axis ('S' samples of a colour, 'C' channels, Y, X, ...)."""
    if not path.is_file():
        raise CellMMError(f"{path} is absent: check data_root and the folder names of the dataset")
    image, axes = _read_tiff(path) if path.suffix.lower() in (".tif", ".tiff") else _read_other(path)
    if image.size == 0:
        raise CellMMError(
            f"{path} has no pixels (shape {image.shape}): the file is damaged, copy or export it again"
        )
    if 1 in image.shape:
        keep = [i for i, size in enumerate(image.shape) if size > 1 or axes[i] in "YX"]
        image, axes = image.reshape([image.shape[i] for i in keep]), "".join(axes[i] for i in keep)
    return image, axes


def _read_other(path: Path) -> tuple[np.ndarray, str]:
    data = path.read_bytes()
    for start, end in _ENDS.items():
        if data.startswith(start) and end not in data[-256:]:
            raise CellMMError(f"{path} is cut off after {len(data)} bytes: copy or export it again")
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if data else None
    if image is None:
        raise CellMMError(f"{path} ({len(data)} bytes) cannot be read as an image: copy or export it again")
    return _from_bgr(image)


def _read_tiff(path: Path) -> tuple[np.ndarray, str]:
    try:
        with _complaints() as complaints, tifffile.TiffFile(path) as tiff:
            size = path.stat().st_size
            for page in tiff.pages:
                ends = [
                    start + count for start, count in zip(page.dataoffsets, page.databytecounts, strict=False)
                ]
                if not ends or max(ends) > size:
                    raise CellMMError(f"{path} is cut off after {size} bytes: copy or export it again")
            if damage := [text for text in complaints if "offset" in text]:
                raise CellMMError(f"{path} is damaged ({damage[0]}): copy or export it again")
            first = tiff.series[0]
            series = [one for one in tiff.series if one.shape == first.shape]
            try:
                pages = [one.asarray() for one in series]
            except ValueError as error:
                if "imagecodecs" not in str(error):
                    raise
                return _read_tiff_by_cv2(path, len(tiff.pages))
    except CellMMError:
        raise
    except Exception as error:  # a damaged file can fail anywhere inside the decoder
        raise CellMMError(f"{path} cannot be read as a TIFF ({error}): copy or export it again") from error
    return (pages[0], first.axes) if len(pages) == 1 else (np.stack(pages), "I" + first.axes)


def _read_tiff_by_cv2(path: Path, count: int) -> tuple[np.ndarray, str]:
    """For compressions, LZW above all, that tifffile leaves to the optional imagecodecs."""
    read, pages = cv2.imreadmulti(str(path), flags=cv2.IMREAD_UNCHANGED)
    if not read or len(pages) != count or len({page.shape for page in pages}) > 1:
        raise CellMMError(
            f"{path}: {len(pages)} of {count} pages could be decoded; pip install imagecodecs, or export"
        )
    image, axes = _from_bgr(pages[0])
    return (image, axes) if count == 1 else (np.stack([_from_bgr(page)[0] for page in pages]), "I" + axes)


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """What tifffile logs meanwhile: it only logs that a page lies beyond the end of the file."""
    texts: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: texts.append(record.getMessage())  # type: ignore[method-assign]
    logger = tifffile.logger()
    logger.addHandler(handler)
    try:
        yield texts
    finally:
        logger.removeHandler(handler)


def _from_bgr(image: np.ndarray) -> tuple[np.ndarray, str]:
    if image.ndim == 2:
        return image, "YX"
    if image.shape[2] in (3, 4):
        image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB if image.shape[2] == 3 else cv2.COLOR_BGRA2RGBA)
    return image, "YXS"


def _channels_last(image: np.ndarray, axes: str, channel_axis: int | None, path: str | Path) -> np.ndarray:
    if image.ndim == 2:
        return image[..., None]
    if image.ndim != 3:
        raise CellMMError(f"{path} has {image.ndim} axes {axes} of {image.shape}: save one image a file")
    if channel_axis is None:
        stated = [i for i, name in enumerate(axes) if name in "CS"]
        small = [i for i, size in enumerate(image.shape) if size <= MAX_CHANNELS]
        if len(stated) != 1 and len(small) != 1:
            raise CellMMError(
                f"{path} has shape {image.shape}: say with channel_axis which axis holds the channels"
            )
        channel_axis = stated[0] if len(stated) == 1 else small[0]
    if not -3 <= channel_axis < 3:
        raise CellMMError(f"channel_axis is {channel_axis}, but {path} has the axes 0 to 2")
    return np.moveaxis(image, channel_axis, -1)


def _recolor(image: np.ndarray, color: str, path: str | Path) -> np.ndarray:
    count = image.shape[2]
    if color not in ("grayscale", "rgb"):
        raise CellMMError(f"color is {color!r}: 'unchanged', 'grayscale' or 'rgb'")
    if count not in (1, 3, 4):
        raise CellMMError(f"{path} has {count} channels: color={color!r} takes grey, RGB and RGBA images")
    image = image[..., :3]
    if color == "rgb":
        return np.repeat(image, 3, axis=2) if count == 1 else image
    return (
        image if count == 1 else image.astype(np.float32) @ np.array([[0.299], [0.587], [0.114]], np.float32)
    )


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
    else:
        raise CellMMError(f"{path} has type {image.dtype}: save it as 8 or 16 bit integers, or as float")
    return np.ascontiguousarray(image, dtype=np.float32)
