"""Files of microscope makers, through bioio and the reader of each format, where the user has it."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cellmm.errors import CellMMError
from cellmm.extras import command
from cellmm.io.sources.base import ReadOptions
from cellmm.io.sources.stack import Stack

READERS = {  # the plugins of bioio; cellmm requires none of them, as some are under the GPL
    ".nd2": "bioio-nd2",
    ".czi": "bioio-czi",
    ".lif": "bioio-lif",
    ".dv": "bioio-dv",
    ".r3d": "bioio-dv",
    ".sldy": "bioio-sldy",
    ".oib": "bioio-bioformats",
    ".oif": "bioio-bioformats",
    ".vsi": "bioio-bioformats",
    ".ims": "bioio-bioformats",
}


def open_microscope_file(path: Path, options: ReadOptions, name: str) -> list[Stack]:
    """The scenes of a file, as dask arrays that read what is needed.

    Raises:
        CellMMError: the reader is not installed; with the command that installs it. Or the file is damaged.
    """
    try:
        from bioio import BioImage
        from bioio_base.exceptions import UnsupportedFileFormatError
    except ModuleNotFoundError as error:
        if error.name not in ("bioio", "bioio_base"):
            raise
        raise _no_reader(path) from error
    try:
        image = BioImage(path)
        return [_stack(path, number, options, name) for number in range(len(image.scenes))]
    except CellMMError:
        raise
    except UnsupportedFileFormatError as error:
        reader = READERS[path.suffix.lower()]
        if find_spec(reader.replace("-", "_")) is None:
            raise _no_reader(path) from error
        raise CellMMError(
            f"{path} cannot be read by {reader}: copy it again, or export it as OME-TIFF"
        ) from error
    except Exception as error:  # each reader fails in its own way
        text = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise CellMMError(f"{path} cannot be read by bioio ({text}): export it as OME-TIFF") from error


def _no_reader(path: Path) -> CellMMError:
    reader = READERS[path.suffix.lower()]
    return CellMMError(f"{path}: {path.suffix} files need a reader: {command('bioio', reader)}")


def _stack(path: Path, number: int, options: ReadOptions, name: str) -> Stack:
    from bioio import BioImage

    image: Any = BioImage(path)  # one for each scene: the array reads the scene that is set
    image.set_scene(number)
    levels = image.resolution_levels
    if options.level not in levels:
        raise CellMMError(
            f"{path} has {len(levels)} levels: level is {options.level}, but it has to be 0 to {max(levels)}"
        )
    image.set_resolution_level(options.level)
    size = image.physical_pixel_sizes
    known = size.Y is not None and size.X is not None and size.Y > 0 and size.X > 0
    return Stack(
        array=image.dask_data,
        axes=image.dims.order,
        name=name,
        path=path,
        pixel_size=(float(size.Y), float(size.X)) if known else None,
        channel_names=tuple(map(str, image.channel_names or ())),
    )
