"""Files, folders and arrays of any kind as images."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cellmm.errors import CellMMError
from cellmm.io.sources.arrays import stack_of_array
from cellmm.io.sources.base import ImageSource, ReadOptions
from cellmm.io.sources.image_files import open_image_file
from cellmm.io.sources.joined import JoinedChannels
from cellmm.io.sources.microscope_files import READERS, open_microscope_file
from cellmm.io.sources.ome_zarr import is_zarr, open_ome_zarr
from cellmm.io.sources.stack import Stack, images_of


def open_images(
    image: str | Path | Sequence[str | Path] | Any,
    options: ReadOptions | None = None,
    *,
    name: str | None = None,
) -> list[ImageSource]:
    """The images in a file, an OME-Zarr folder or an array: one per position and time point.

    Pixels are read when they are needed, and no more of them than are needed where the layout of the file
    allows it: the tiles or strips of a TIFF, the chunks of zarr and dask arrays.

    Args:
        image: a path; paths of files whose channels are joined; or an array (H, W) or (H, W, C) of NumPy,
            dask or zarr.
        options: which part is the image; None: all channels of all positions and time points.
        name: of the image in results; None: of the (first) file without its suffix, 'array' of an array.

    Raises:
        CellMMError: it cannot be read, or does not say which of its axes are the image.

    Examples:
        >>> import numpy as np
        >>> source = open_images(np.zeros((8, 6), np.uint16))[0]
        >>> source.shape, source.num_channels, source.read(2, 0, 4, 6).shape
        ((8, 6), 1, (2, 6, 1))
    """
    options = options or ReadOptions()
    if isinstance(image, str | Path):
        path = Path(image)
        return images_of(_kind(path)(path, options, _stem(path) if name is None else name), options)
    if hasattr(image, "shape") and hasattr(image, "dtype"):
        if options.level:
            raise CellMMError(f"level is {options.level}, but an array has no levels: leave it out")
        return images_of([stack_of_array(image, name or "array")], options)
    if isinstance(image, Sequence) and image and all(isinstance(path, str | Path) for path in image):
        planes = [open_images(path, options, name=name) for path in image]
        return [JoinedChannels.of(parts) for parts in _aligned(planes, image)]
    raise CellMMError(
        f"an image is a {type(image).__name__}: give a path, a list of paths, or an array (H, W) or (H, W, C)"
    )


def open_image(image: Any, options: ReadOptions | None = None, *, name: str | None = None) -> ImageSource:
    """The only image in a file or array; see ``open_images``.

    Raises:
        CellMMError: there are several positions or time points, and ``options`` choose none.
    """
    images = open_images(image, options, name=name)
    if len(images) > 1:
        number = {key: len({getattr(source, key) for source in images}) for key in ("position", "time")}
        choices = " and ".join(f"--{key} N ({key}=N)" for key, count in number.items() if count > 1)
        raise CellMMError(
            f"{images[0].path or images[0].name} holds {len(images)} images, {number['position']} positions "
            f"and {number['time']} time points: choose with {choices}"
        )
    return images[0]


def _kind(path: Path) -> Callable[[Path, ReadOptions, str], list[Stack]]:
    if is_zarr(path):
        return open_ome_zarr
    return open_microscope_file if path.suffix.lower() in READERS else open_image_file


def _stem(path: Path) -> str:
    """The name without what says its format: ``a`` of a.tif, a.ome.tif and a.ome.zarr."""
    return path.stem.removesuffix(".ome")


def _aligned(planes: list[list[ImageSource]], paths: Sequence) -> list[list[ImageSource]]:
    for path, images in zip(paths, planes, strict=True):
        if len(images) != len(planes[0]):
            raise CellMMError(
                f"{path} holds {len(images)} images, but {paths[0]} of the same image {len(planes[0])}: "
                "export them with the same positions and time points"
            )
    return [list(parts) for parts in zip(*planes, strict=True)]
