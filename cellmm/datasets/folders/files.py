"""The files of a folder, sorted into images and annotations."""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from cellmm.datasets.folders import names
from cellmm.errors import CellMMError
from cellmm.io.annotations import AnnotationReader, LabelImageReader, annotation_readers, find_reader
from cellmm.io.file_index import IMAGE_SUFFIXES, refuse_unreadable
from cellmm.io.files import UNFINISHED
from cellmm.io.image_folders import SUFFIXES
from cellmm.io.sources.ome_zarr import is_zarr

LABEL_IMAGES = LabelImageReader.title
NOT_ALONE = {".txt", ".npy"}  # suffixes of other things, too: not named where no reader knows them
CHECKPOINT = "last_checkpoint"  # a file of mmengine in the folder of a training
ASIDE = frozenset(
    "overlay overlays outlines flows preview previews thumbnail thumbnails probabilities output".split()
)
_MARKERS = re.compile(r"(^|/)\d\d_GT/TRA/", re.IGNORECASE)  # of the Cell Tracking Challenge


@dataclass
class FolderFiles:
    """Relative posix paths below ``root``, sorted.

    Args:
        images: image files and OME-Zarr folders.
        annotations: {title of the format: (reader, its files)}; label images are a format.
        aside: pictures made from the images.
        markers: of tracking, in the Cell Tracking Challenge.
        unread: of a suffix of annotations, but in no known format.
    """

    root: Path
    images: list[str] = field(default_factory=list)
    annotations: dict[str, tuple[AnnotationReader, list[str]]] = field(default_factory=dict)
    aside: list[str] = field(default_factory=list)
    markers: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)


def walk(folder: Path) -> dict[str, tuple[int, int]]:
    """{relative path: (size, time of the last change in ns)} of all files below ``folder``, sorted.

    Hidden files, __MACOSX, results of cellmm and folders of trainings are left out. An OME-Zarr folder
    counts as a file.
    """
    if not folder.is_dir():
        raise CellMMError(f"{folder} is not a folder: name the folder that holds the images")
    found: dict[str, tuple[int, int]] = {}
    seen: set[str] = set()
    for root, folders, files in os.walk(folder, followlinks=True, onerror=refuse_unreadable):
        real = os.path.realpath(root)
        if real in seen or any(name.startswith(UNFINISHED) or name == CHECKPOINT for name in files):
            folders.clear()
            continue
        seen.add(real)
        inside = [Path(root, name) for name in folders if name != "__MACOSX" and not name.startswith(".")]
        arrays = [path for path in inside if is_zarr(path)]
        folders[:] = [path.name for path in inside if path not in arrays]
        for path in [*arrays, *(Path(root, name) for name in files if not name.startswith("."))]:
            if not path.exists():
                raise CellMMError(f"{path} is a link to a file that is absent: remove the link")
            stat = path.stat()
            found[path.relative_to(folder).as_posix()] = (stat.st_size, stat.st_mtime_ns)
    return dict(sorted(found.items()))


def sort_files(root: Path, paths: list[str]) -> FolderFiles:
    """Tell images from annotations, by their names, and by a look into what has no telling name."""
    files = FolderFiles(root)
    suffixes = {suffix for reader in annotation_readers() for suffix in reader.suffixes}
    pictures = []
    for name in paths:
        suffix = PurePosixPath(name).suffix.lower()
        if suffix in SUFFIXES or suffix == ".zarr" or is_zarr(root / name):
            pictures.append(name)
        elif suffix in suffixes:
            if (reader := find_reader(root / name)) is not None:
                files.annotations.setdefault(reader.title, (reader, []))[1].append(name)
            elif suffix not in NOT_ALONE:
                files.unread.append(name)
    labels = _sort_pictures(files, pictures)
    if not labels and not files.annotations:
        reader = LabelImageReader()
        labels = [name for name in files.images if reader.recognises(root / name)]
        if len(labels) == len(files.images):
            labels = []
    if labels:
        files.images = [name for name in files.images if name not in set(labels)]
        files.annotations[LABEL_IMAGES] = (LabelImageReader(), labels)
    return files


def _sort_pictures(files: FolderFiles, pictures: list[str]) -> list[str]:
    """Fill ``images``, ``aside`` and ``markers``; returns the label images."""
    stems = {(PurePosixPath(name).parent, names.stem(name)) for name in pictures}
    labels = []
    for name in pictures:
        path = PurePosixPath(name)
        of_folder = next((role for part in path.parts[-2::-1] if (role := names.role(part))), None)
        of_name, plain = names.role(names.stem(name)), names.key(name, 0, annotation=True)
        is_label = of_folder == "label" or (
            of_name == "label" and (of_folder is None or (path.parent, plain) in stems)
        )
        # the file of a class, whatever is in it
        is_label |= bool(names.CLASS.fullmatch(names.stem(name))) and (path.parent, "image") in stems
        if _MARKERS.search(name):
            files.markers.append(name)
        elif _is_aside(name, stems):
            files.aside.append(name)
        elif is_label and path.suffix.lower() in IMAGE_SUFFIXES:
            labels.append(name)
        else:
            files.images.append(name)
    return labels


def _is_aside(name: str, stems: set[tuple[PurePosixPath, str]]) -> bool:
    """Whether a picture is made from an image, such as a_overlay.png beside a.tif, or overlays/a.png."""
    path = PurePosixPath(name)
    if any(set(names.tokens(part)) & ASIDE for part in path.parts[:-1]):
        return True
    text = names.stem(name)
    base = names.core(text, ASIDE | names.LABELS)
    return bool(set(names.tokens(text)[-1:]) & ASIDE) and (path.parent, base) in stems
