"""Image files that are given by hand: which they are, and what pictures of them are called."""

import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from cellmm.errors import CellMMError
from cellmm.io.file_index import IMAGE_SUFFIXES

# what follows an image's name in the files that Cellpose, StarDist, Fiji and others write beside it
LABEL_ENDS = ("masks", "mask", "labels", "label", "seg", "segmentation", "outlines", "flows", "cp_output")
_LABEL = re.compile(rf"(?P<image>.+?)(_cp)?_({'|'.join(LABEL_ENDS)})", re.IGNORECASE)


def find_images(
    inputs: Sequence[str | Path], leave_out: Sequence[Path] = ()
) -> tuple[list[Path], list[Path], list[Path]]:
    """The files named, and every image below the folders named, folder by folder in order of their names.

    Hidden files are not images. Nor are the label files (``a_masks.png``) that lie beside their image
    (``a.tif``) in a folder; they come second. A label file that is named itself is taken as an image. Images
    in folders that are left out come third.

    Args:
        leave_out: folders that are not searched, those that results go to.

    Raises:
        CellMMError: a path that does not exist, or a folder without an image.
    """
    paths: list[Path] = []
    labels: list[Path] = []
    skipped: list[Path] = []
    for path in (Path(os.path.abspath(one)) for one in inputs):
        if path.is_dir():
            found = sorted(
                one
                for one in path.rglob("*")
                if one.suffix.lower() in IMAGE_SUFFIXES and not one.name.startswith(".") and not one.is_dir()
            )
            for folder in leave_out:
                skip = Path(os.path.abspath(folder))
                skipped += [one for one in found if skip in one.parents]
                found = [one for one in found if skip not in one.parents]
            if not found:
                raise CellMMError(f"{path}: no image in this folder (of {', '.join(IMAGE_SUFFIXES)})")
            names = {(one.parent, one.stem) for one in found}
            beside = [
                one for one in found if any((one.parent, name) in names for name in _labelled(one.stem))
            ]
            labels += beside
            paths += [one for one in found if one not in set(beside)]
        elif path.is_file():
            paths.append(path)
        else:
            raise CellMMError(f"{path}: no such file or folder")
    paths = list(dict.fromkeys(paths))
    taken = set(paths)
    labels, skipped = ([one for one in dict.fromkeys(some) if one not in taken] for some in (labels, skipped))
    return paths, labels, skipped


def _labelled(stem: str) -> list[str]:
    """The names of the image that a file of this name would be the labels of: 'a' for 'a_cp_masks'."""
    found = []
    while match := _LABEL.fullmatch(stem):
        stem = match["image"]
        found.append(stem)
    return found


def name_images(paths: Sequence[Path]) -> tuple[list[str], list[str]]:
    """What each image is called in the json, and its overlay.

    Both are relative to the folder that holds all of the images, subfolders included, so that no two are the
    same; of images that differ in their suffix only, the overlays keep it: a.png.png, a.tif.png.
    """
    root = os.path.commonpath([path.parent for path in paths])
    names = [path.relative_to(root) for path in paths]
    stems = [name.with_suffix("") for name in names]
    number = _count(stems)
    short = [stem if number[_key(stem)] == 1 else name for name, stem in zip(names, stems, strict=True)]
    if max(_count(short).values()) > 1:  # of a.png, a.tif and a.png.tif two would be a.png.png
        short = names
    return [name.as_posix() for name in names], [f"{one}.png" for one in short]


def _count(names: Sequence[Path]) -> Counter:
    return Counter(map(_key, names))


def _key(name: Path) -> str:
    return str(name).casefold()  # a.png and A.png are one file on many disks
