"""The image files that a user names, and the names of pictures made from them."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from cellmm.errors import CellMMError
from cellmm.io.file_index import IMAGE_SUFFIXES, refuse_unreadable
from cellmm.io.image_lists import expand
from cellmm.io.sources.microscope_files import READERS
from cellmm.io.sources.ome_zarr import is_zarr

# what follows an image's name in the files that Cellpose, StarDist, Fiji and others write beside it
LABEL_ENDS = ("masks", "mask", "labels", "label", "seg", "segmentation", "outlines", "flows", "cp_output")
_LABEL = re.compile(rf"(?P<image>.+?)(_cp)?_({'|'.join(LABEL_ENDS)})", re.IGNORECASE)
TIFF_SUFFIXES = (".svs", ".ndpi", ".scn", ".lsm", ".stk", ".qptiff", ".btf")  # TIFFs by another name
SUFFIXES = (*IMAGE_SUFFIXES, *TIFF_SUFFIXES, *READERS)
_FRAME = re.compile(r"(?P<image>.+?)(_p\d{3,}(_t\d{4,})?|_t\d{4,})", re.IGNORECASE)  # as sources name them


def find_images(
    inputs: Sequence[str | Path], leave_out: Sequence[Path] = (), stdin: Iterable[str] | None = None
) -> tuple[list[Path], list[Path], list[Path]]:
    """The files named, and every image below the folders named, folder by folder in order of their names.

    Returns (images, label files, skipped images). Hidden files and folders are left out. Links to folders are
    followed, and a folder that is reached twice is searched once. An OME-Zarr folder is one image. A label
    file (``a_masks.png``) beside its image (``a.tif``) in a folder is not an image either, unless it is named
    itself. Images below ``leave_out`` are skipped.

    Args:
        inputs: files, folders, and what ``cellmm.io.image_lists.expand`` takes: ``-``, patterns, COCO jsons.
        leave_out: folders that are not searched, for example those that results go to.
        stdin: lines, in place of those of standard input.

    Raises:
        CellMMError: a path that does not exist, or a folder without an image.
    """
    paths: list[Path] = []
    labels: list[Path] = []
    skipped: list[Path] = []
    for path in expand(inputs, stdin):
        if is_zarr(path) or path.is_file():
            paths.append(path)
        elif path.is_dir():
            found = sorted(_search(path))
            for folder in leave_out:
                skip = Path(os.path.abspath(folder))
                skipped += [file for file in found if skip in file.parents]
                found = [file for file in found if skip not in file.parents]
            if not found:
                raise CellMMError(
                    f"{path}: no image in this folder (of {', '.join(IMAGE_SUFFIXES)}, .zarr, and others)"
                )
            names = {(file.parent, name) for file in found for name in (file.stem, short_name(file).name)}
            beside = [
                file
                for file in found
                if any((file.parent, name) in names for name in _labelled(short_name(file).name))
            ]
            labels += beside
            paths += [file for file in found if file not in set(beside)]
        else:
            raise CellMMError(f"{path}: no such file or folder")
    paths = list(dict.fromkeys(paths))
    taken = set(paths)
    labels, skipped = (
        [file for file in dict.fromkeys(some) if file not in taken] for some in (labels, skipped)
    )
    return paths, labels, skipped


def _search(folder: Path) -> list[Path]:
    """The image files and OME-Zarr folders below ``folder``."""
    found: list[Path] = []
    seen: set[str] = set()
    for root, folders, names in os.walk(folder, followlinks=True, onerror=refuse_unreadable):
        real = os.path.realpath(root)
        inside = [Path(root, name) for name in sorted(folders) if not name.startswith(".")]
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        images = [path for path in inside if is_zarr(path)]
        folders[:] = [path.name for path in inside if path not in images]
        files = [Path(root, name) for name in names if not name.startswith(".")]
        found += images + [file for file in files if file.suffix.lower() in SUFFIXES]
    return found


def short_name(path: Path) -> Path:
    """The path without what says its format: ``a`` of a.tif, a.ome.tif and a.ome.zarr."""
    return path.with_name(path.stem.removesuffix(".ome") or path.stem)


def _labelled(stem: str) -> list[str]:
    """Names of images that a file of this name may label: 'a' for 'a_cp_masks'."""
    found = []
    while match := _LABEL.fullmatch(stem):
        stem = match["image"]
        found.append(stem)
    return found


def name_images(paths: Sequence[Path]) -> tuple[list[str], list[str]]:
    """The name of each image in the json, and of its overlay.

    Both are relative to the folder that holds all the images, with subfolders, so that names are unique.
    Overlays keep the suffix of images that differ in nothing else (a.png.png, a.tif.png), and of those that
    are named as a frame of another (a_t0001.tif beside the film a.tif).
    """
    root = os.path.commonpath([path.parent for path in paths])
    names = [path.relative_to(root) for path in paths]
    stems = [short_name(name) for name in names]
    number = _count(stems)
    bases = {_key(name) for name in (*stems, *names)}
    short = [
        stem if number[_key(stem)] == 1 and not _is_frame(stem, bases) else name
        for name, stem in zip(names, stems, strict=True)
    ]
    if max(_count(short).values()) > 1:  # of a.png, a.tif and a.png.tif two would be a.png.png
        short = names
    return [name.as_posix() for name in names], [f"{stem}.png" for stem in short]


def _is_frame(stem: Path, bases: set[str]) -> bool:
    """Whether a frame or field of another image may have this name."""
    match = _FRAME.fullmatch(stem.name)
    fields = [parent for parent in stem.parents if parent.name]  # plate/B/03/0
    frames = [] if match is None else [stem.with_name(match["image"])]
    return any(_key(path) in bases for path in [*fields, *frames])


def _count(names: Sequence[Path]) -> Counter:
    return Counter(map(_key, names))


def _key(name: Path) -> str:
    return str(name).casefold()  # a.png and A.png are one file on many disks
