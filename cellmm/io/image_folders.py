"""The image files that a user names, and the names of pictures made from them."""

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

    Returns (images, label files, skipped images). Hidden files are not images. A label file
    (``a_masks.png``) beside its image (``a.tif``) in a folder is not an image either, unless it is named
    itself. Images below ``leave_out`` are skipped.

    Args:
        leave_out: folders that are not searched, for example those that results go to.

    Raises:
        CellMMError: a path that does not exist, or a folder without an image.
    """
    paths: list[Path] = []
    labels: list[Path] = []
    skipped: list[Path] = []
    for path in (Path(os.path.abspath(given)) for given in inputs):
        if path.is_dir():
            found = sorted(
                file
                for file in path.rglob("*")
                if file.suffix.lower() in IMAGE_SUFFIXES
                and not file.name.startswith(".")
                and not file.is_dir()
            )
            for folder in leave_out:
                skip = Path(os.path.abspath(folder))
                skipped += [file for file in found if skip in file.parents]
                found = [file for file in found if skip not in file.parents]
            if not found:
                raise CellMMError(f"{path}: no image in this folder (of {', '.join(IMAGE_SUFFIXES)})")
            names = {(file.parent, file.stem) for file in found}
            beside = [
                file for file in found if any((file.parent, name) in names for name in _labelled(file.stem))
            ]
            labels += beside
            paths += [file for file in found if file not in set(beside)]
        elif path.is_file():
            paths.append(path)
        else:
            raise CellMMError(f"{path}: no such file or folder")
    paths = list(dict.fromkeys(paths))
    taken = set(paths)
    labels, skipped = (
        [file for file in dict.fromkeys(some) if file not in taken] for some in (labels, skipped)
    )
    return paths, labels, skipped


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
    Overlays keep the suffix of images that differ in nothing else: a.png.png, a.tif.png.
    """
    root = os.path.commonpath([path.parent for path in paths])
    names = [path.relative_to(root) for path in paths]
    stems = [name.with_suffix("") for name in names]
    number = _count(stems)
    short = [stem if number[_key(stem)] == 1 else name for name, stem in zip(names, stems, strict=True)]
    if max(_count(short).values()) > 1:  # of a.png, a.tif and a.png.tif two would be a.png.png
        short = names
    return [name.as_posix() for name in names], [f"{stem}.png" for stem in short]


def _count(names: Sequence[Path]) -> Counter:
    return Counter(map(_key, names))


def _key(name: Path) -> str:
    return str(name).casefold()  # a.png and A.png are one file on many disks
