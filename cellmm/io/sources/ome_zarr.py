"""OME-Zarr 0.4 (zarr 2) and 0.5 (zarr 3): images, collections of them, and plates."""

import functools
import logging
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.logging import print_log

from cellmm.errors import CellMMError
from cellmm.extras import need
from cellmm.io.sources.arrays import AXES, stack_of_array
from cellmm.io.sources.base import ReadOptions
from cellmm.io.sources.stack import Stack

MARKS = ("zarr.json", ".zgroup", ".zattrs", ".zarray")
MICROMETRES = {
    "angstrom": 1e-4,
    "nanometer": 1e-3,
    "micrometer": 1.0,
    "millimeter": 1e3,
    "centimeter": 1e4,
    "meter": 1e6,
    "inch": 25400.0,
}
_OF_TYPE = {"time": "T", "channel": "C"}


def is_zarr(path: Path) -> bool:
    """Whether ``path`` is a zarr group or array, or a folder that is named as one."""
    return path.is_dir() and (
        path.suffix.lower() == ".zarr" or any((path / mark).is_file() for mark in MARKS)
    )


def open_ome_zarr(path: Path, options: ReadOptions, name: str) -> list[Stack]:
    """The fields of view below ``path``, at the level of ``options``.

    Raises:
        CellMMError: it is damaged, or holds no image.
    """
    zarr = need("zarr", "zarr", "OME-Zarr files")
    try:
        node = zarr.open(str(path), mode="r")
        return _stacks(node, path, options, name)
    except CellMMError:
        raise
    except Exception as error:  # zarr, its codecs and the metadata of a damaged file can fail in any way
        text = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise CellMMError(
            f"{path} cannot be read as OME-Zarr ({text}): copy it again as a whole folder"
        ) from error


def _stacks(node: Any, path: Path, options: ReadOptions, name: str) -> list[Stack]:
    if hasattr(node, "shape"):
        _tell_absent_chunks(path, _stored_chunks(node))
        stack = stack_of_array(node, name)
        return [Stack(node, stack.axes, name, path)]
    fields = _fields(node, path)
    if not fields:
        raise CellMMError(
            f"{path} holds no image: its metadata states no multiscales, plate or series; name the folder "
            "of an image in it"
        )
    return [_stack(_member(node, key, path), path, options, name, key) for key in fields]


def _attributes(group: Any) -> Mapping[str, Any]:
    attributes = dict(group.attrs)
    return attributes.get("ome", attributes)


def _member(group: Any, key: str, path: Path) -> Any:
    """What is at ``key`` below ``group``; '' is the group itself."""
    if key and key not in group:
        raise CellMMError(f"{path} lacks {key}, which its metadata states: copy it again as a whole folder")
    return group[key] if key else group


def _fields(group: Any, path: Path) -> list[str]:
    """Where below ``group`` its images are, in the order of the metadata; '' is the group itself."""
    attributes = _attributes(group)
    if "multiscales" in attributes:
        return [""]
    if "plate" in attributes:
        wells = [well["path"] for well in attributes["plate"]["wells"]]
        return [
            f"{well}/{found}" if found else well
            for well in wells
            for found in _fields(_member(group, well, path), path)
        ]
    if "well" in attributes:
        return [str(image["path"]) for image in attributes["well"]["images"]]
    if "bioformats2raw.layout" in attributes:
        series = _attributes(group["OME"]).get("series") if "OME" in group else None
        numbered = sorted((key for key in group.group_keys() if key.isdigit()), key=int)
        return [str(key) for key in series or numbered]
    return []


def _stack(group: Any, path: Path, options: ReadOptions, name: str, key: str) -> Stack:
    where = path / key
    attributes = _attributes(group)
    scales = attributes["multiscales"][0]
    levels = scales["datasets"]
    if not 0 <= options.level < len(levels):
        raise CellMMError(
            f"{where} has {len(levels)} levels: level is {options.level}, but it has to be 0 to "
            f"{len(levels) - 1}"
        )
    level = levels[options.level]
    array = group[level["path"]]
    stated = scales.get("axes", "tczyx")  # of versions before 0.3
    _tell_absent_chunks(where / level["path"], _stored_chunks(array))
    axes = [axis if isinstance(axis, Mapping) else {"name": axis} for axis in stated]
    if len(axes) != len(array.shape):
        raise CellMMError(
            f"{where} states {len(axes)} axes of an array of shape {tuple(array.shape)}: export it again"
        )
    letters = "".join(
        AXES.get(str(axis["name"]).lower()) or _OF_TYPE.get(str(axis.get("type")), "Q") for axis in axes
    )
    channels = attributes.get("omero", {}).get("channels", ())
    return Stack(
        array=array,
        axes=letters,
        name=name,
        path=path,
        pixel_size=_pixel_size(axes, [level, scales]),
        channel_names=tuple(str(channel.get("label") or "") for channel in channels),
        label=f"/{key}",
    )


def _stored_chunks(array: Any) -> int:
    """How many files hold the array, if none is left out: its chunks, or its shards."""
    sides = getattr(array, "shards", None) or array.chunks
    return math.prod(math.ceil(size / side) for size, side in zip(array.shape, sides, strict=True))


@functools.cache  # of a file that is opened in every epoch, too
def _tell_absent_chunks(folder: Path, count: int) -> None:
    """Warn where fewer files than ``count`` lie in the folder: zarr takes absent chunks as background."""
    names = (name for _, _, names in os.walk(folder) for name in names)
    absent = count - sum(name not in MARKS and not name.startswith(".") for name in names)
    if absent > 0:
        print_log(
            f"{folder}: {absent} of {count} chunks are absent and read as background; copy the whole folder "
            "again if they should hold pixels",
            logger="current",
            level=logging.WARNING,
        )


def _pixel_size(axes: Sequence[Mapping], transformed: Sequence[Mapping]) -> tuple[float, float] | None:
    """(y, x) in micrometres; None where units or scales are not stated."""
    sizes = []
    for name in "yx":
        i = next((i for i, axis in enumerate(axes) if str(axis["name"]).lower() == name), None)
        unit = MICROMETRES.get(str(axes[i].get("unit")).lower()) if i is not None else None
        scales = [
            float(step["scale"][i])
            for part in transformed
            for step in part.get("coordinateTransformations", ())
            if i is not None and step.get("type") == "scale" and "scale" in step
        ]
        if unit is None or not scales or not all(0 < scale < math.inf for scale in scales):
            return None
        sizes.append(unit * math.prod(scales))
    return sizes[0], sizes[1]
