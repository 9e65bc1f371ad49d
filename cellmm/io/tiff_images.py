"""The images in a TIFF: fields of view, each with the levels of its pyramid."""

import html
import math
import re
from dataclasses import dataclass
from pathlib import Path

import tifffile

from cellmm.errors import CellMMError
from cellmm.io.complaints import AGAIN

_PLAIN = ("shaped", "generic", "uniform")  # tifffile's kinds of series that state no positions
_BESIDE = {"label", "macro", "thumbnail", "overview", "map"}  # names of pictures of a slide
_BESIDE_OME = {"label image", "macro image"}  # the same, written by Bio-Formats
_FILE_NAME = re.compile(r"\bFileName\s*=\s*[\"']([^\"']+)")
_MASTER = re.compile(r"<(?:\w+:)?BinaryOnly\b[^>]*\bMetadataFile\s*=\s*[\"']([^\"']+)")


@dataclass(frozen=True)
class Level:
    """Pages of one image at one resolution; the first ``lead`` axes count the pages.

    ``offset``: where the pixels begin, if all of them lie in one piece. ``lead`` is -1 where the pages are
    not those that the axes say.
    """

    pages: list
    axes: str
    shape: tuple[int, ...]
    offset: int | None
    key: tifffile.TiffPage
    lead: int


@dataclass(frozen=True)
class TiffImage:
    """``number`` counts the images of the file's description, ``kind`` is tifffile's name of it."""

    name: str
    levels: list[Level]
    number: int
    kind: str


def find_images(path: Path, tiff: tifffile.TiffFile) -> list[TiffImage]:
    """The images of this file, one per position.

    Thumbnails, masks of transparency, and pictures of the label of a slide are left out. Of a set of
    OME-TIFFs these are the images of which a part is in this very file. Pages of one size without a
    statement are one image with the axis I.

    Raises:
        CellMMError: the description and the pages do not fit, or a file of the set is absent.
    """
    try:
        found = list(tiff.series)
    except ValueError as error:
        if absent := absent_files(path, tiff):
            raise CellMMError(f"{path} is one of a set{absent}") from error
        raise
    if not found:
        raise CellMMError(f"{path} is damaged: it has no readable page: {AGAIN}")
    _check_kind(path, tiff, found[0].kind)
    found = [part for part in found if not part.keyframe.subfiletype & 5] or found
    if found[0].kind not in _PLAIN:
        names = _BESIDE_OME if found[0].kind == "ome" else _BESIDE
        found = [part for part in found if part.name.strip().lower() not in names] or found
    if found[0].kind == "ome":
        own = [part for part in found if any(page is not None and page.parent is tiff for page in part.pages)]
        found = own or found
    numbers = {id(part): number for number, part in enumerate(tiff.series)}
    levels = []
    for part in found:
        parts = list(part.levels)
        if part.kind == "generic":  # tifffile takes every image of half the size for a level
            small = [half for half in parts[1:] if half.keyframe.is_reduced or half.keyframe.is_subifd]
            levels += [[parts[0], *small]]
            levels += [[half] for half in parts[1:] if half not in small]
        else:
            levels.append(parts)
    if found[0].kind == "imagej" and (own := _separate_pages(path, tiff, found[0])):
        return [TiffImage(found[0].name, [own], 0, "imagej")]
    if len(levels) > 1 and all(group[0].kind in _PLAIN for group in levels):
        first = levels[0][0]
        if len({(group[0].shape, group[0].dtype, group[0].keyframe.photometric) for group in levels}) == 1:
            pages = [page for group in levels for page in group[0].pages]
            axes, shape = first.get_axes(False), (len(levels), *first.get_shape(False))
            letter = "Q" if "I" in axes else "I"
            return [TiffImage("", [_level(pages, letter + axes, shape, None, first.keyframe)], 0, "generic")]
    return [
        TiffImage(
            group[0].name if group[0].kind not in _PLAIN else "",
            [
                _level(
                    part.pages, part.get_axes(False), part.get_shape(False), part.dataoffset, part.keyframe
                )
                for part in group
            ],
            numbers.get(id(group[0]), 0),
            group[0].kind,
        )
        for group in levels
    ]


def _separate_pages(path: Path, tiff: tifffile.TiffFile, part: tifffile.TiffPageSeries) -> Level | None:
    """The pages of an ImageJ file where its pixels are not in one piece; else None.

    tifffile takes them to be so wherever the second directory lies behind all the pixels, which is also true
    of two pages that are each followed by their own directory.
    """
    shape, key = part.get_shape(False), part.keyframe
    count = math.prod(shape) // math.prod(key.shape)
    if part.dataoffset is None or count == 1 or not tiff.pages.is_multipage:
        return None
    if tiff.pages[1].dataoffsets[:1] == (key.dataoffsets[0] + key.nbytes,):
        return None
    if len(tiff.pages) != count:
        raise CellMMError(
            f"{path} is damaged: its ImageJ description states {count} planes, but it has {len(tiff.pages)} "
            f"pages: {AGAIN}"
        )
    return _level(tiff.pages, part.get_axes(False), shape, None, key)


def absent_files(path: Path, tiff: tifffile.TiffFile) -> str:
    """What to say about the files that the OME description names and that are not beside this one."""
    names = sorted({html.unescape(name) for name in _FILE_NAME.findall(tiff.ome_metadata or "")})
    absent = [name for name in names if not (path.parent / name).exists()]
    if not absent:
        return ""
    return (
        f": {absent[0]}{f' and {len(absent) - 1} more are' if len(absent) > 1 else ' is'} absent; copy all "
        "files of the set into one folder, under their names"
    )


def _level(pages, axes: str, shape: tuple[int, ...], offset: int | None, key: tifffile.TiffPage) -> Level:
    pages = list(pages)
    for lead in range(len(axes)):
        if math.prod(shape[:lead]) == len(pages) and math.prod(shape[lead:]) == math.prod(key.shaped):
            break
    else:
        lead = -1
    return Level(pages, axes, tuple(shape), offset, key, lead)


def _check_kind(path: Path, tiff: tifffile.TiffFile, kind: str) -> None:
    """Where a description cannot be followed, tifffile takes the pages as they come."""
    if master := _MASTER.search(tiff.pages.first.description):
        raise CellMMError(
            f"{path} holds pixels only, its axes are described in {html.unescape(master[1])}: read that file "
            "if it is a TIFF, else convert the set to one OME-TIFF (bfconvert)"
        )
    if kind not in _PLAIN or kind == "shaped":
        return
    for name, stated in (("OME", tiff.is_ome), ("ImageJ", tiff.is_imagej)):
        if stated and (len(tiff.pages) > 1 or name == "ImageJ"):
            raise CellMMError(
                f"{path} is damaged: its {name} description does not fit its {len(tiff.pages)} pages"
                f"{absent_files(path, tiff) or f': {AGAIN}'}"
            )
