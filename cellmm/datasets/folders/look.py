"""Look at what is in a folder, and pair images with annotations."""

import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from cellmm.datasets.folders.building import Builder
from cellmm.datasets.folders.contents import AnnotatedImage, FolderContents, layout_of
from cellmm.datasets.folders.files import LABEL_IMAGES, FolderFiles, sort_files, walk
from cellmm.datasets.folders.pairing import Pairing, Unit, pair
from cellmm.datasets.folders.reading import read_units
from cellmm.errors import CellMMError
from cellmm.io.annotations import annotation_readers
from cellmm.io.label_check import look_at_labels
from cellmm.messages import name_some


def look_at(folder: str | os.PathLike, layout: str | None = None) -> FolderContents:
    """Find the annotated images in a folder and its subfolders.

    Args:
        layout: which annotations to take, where there are several kinds: the name of a format, such as
            'COCO json', or the words that FolderContents has.

    Raises:
        CellMMError: there are no images or no annotations, it is open which annotation belongs to an image,
            or a file is damaged; in one line with the cure.

    The same folder is looked at again only if a file in it has changed.
    """
    root = Path(folder)
    stamps = walk(root)
    return _look(root, None if layout is None else layout_of(layout), tuple(stamps.items()))


@lru_cache(maxsize=4)
def _look(root: Path, layout: str | None, stamps: tuple[tuple[str, tuple[int, int]], ...]) -> FolderContents:
    files = sort_files(root, [name for name, _ in stamps])
    _check_found(files, layout)
    read = {
        title: _units(files, title)
        for title in files.annotations
        if layout is None or title.casefold() == layout.casefold()
    }
    pairings = {title: pair(files.images, units) for title, (units, _) in read.items()}
    title = _choose(files, pairings)
    pairing, classes = pairings[title], read[title][1]
    if pairing.problems:
        more = f" ({len(pairing.problems) - 1} more)" if len(pairing.problems) > 1 else ""
        raise CellMMError(f"{root}: {pairing.problems[0]}{more}")
    return _contents(files, title, pairing, classes)


def _units(files: FolderFiles, title: str) -> tuple[list[Unit], list[str]]:
    reader, paths = files.annotations[title]
    if title == LABEL_IMAGES:
        return [Unit(path) for path in paths], []
    return read_units(files.root, reader, paths)


def _check_found(files: FolderFiles, layout: str | None) -> None:
    root, kinds = files.root, ", ".join(reader.title for reader in annotation_readers())
    if not files.images:
        count = sum(len(paths) for _, paths in files.annotations.values())
        what = f"{count} annotation files and no image" if count else "no image"
        raise CellMMError(f"{root} holds {what}: put the images there, as TIFF or PNG")
    if not files.annotations:
        unread = f"; not in a known format: {name_some(files.unread)}" if files.unread else ""
        raise CellMMError(
            f"{root} holds {len(files.images)} images and no annotation{unread}: add label images in a "
            f"folder labels, or annotations of another program ({kinds})"
        )
    if layout is not None and layout.casefold() not in map(str.casefold, files.annotations):
        raise CellMMError(f"{root}: no layout {layout!r}; it has {', '.join(files.annotations)}")


def _choose(files: FolderFiles, pairings: dict[str, Pairing]) -> str:
    """The layout whose annotations belong to images."""
    fitting = [title for title, pairing in pairings.items() if pairing.matches or pairing.problems]
    if len(fitting) > 1:
        some = [f"{title} ({name_some(files.annotations[title][1], 1)})" for title in fitting]
        raise CellMMError(
            f"{files.root} holds annotations of several kinds, {' and '.join(some)}: move all but one away, "
            f"or choose with layout={fitting[0]!r}"
        )
    if fitting:
        return fitting[0]
    title, pairing = next(iter(pairings.items()))
    if pairing.missing:
        file, missing = next(iter(pairing.missing.items()))
        raise CellMMError(
            f"{files.root}: {file} names images that are not in the folder, {name_some(missing)}; the folder "
            f"has {name_some(files.images)}: put these images there"
        )
    raise CellMMError(
        f"{files.root}: no image has the name of an annotation; the images are {name_some(files.images, 3)}, "
        f"the annotations {name_some([unit.file for unit in pairing.left], 3)}: give both the same names, as "
        "a.tif and a_mask.tif"
    )


def _contents(files: FolderFiles, title: str, pairing: Pairing, classes: list[str]) -> FolderContents:
    root = files.root
    builder = Builder(files, pairing)
    images = builder.images()
    used = (
        set(pairing.aside)
        | {plane for planes in pairing.planes.values() for plane in planes}
        | set(pairing.matches)
    )
    labels = {cell["label"] for image in images for cell in image.instances or ()}
    if {None, "cell"} & labels or not classes and not labels:
        classes = [*classes, *({"cell"} - set(classes))]
    classes = [*classes, *sorted(label for label in labels - set(classes) if label is not None)]
    labels_seen = look_at_labels([image.info() for image in images], root)
    return FolderContents(
        root,
        f"{title}, {_how(pairing, images)}",
        tuple(images),
        tuple(root / name for name in files.images if name not in used),
        tuple(root / name for name in dict.fromkeys(unit.file for unit in pairing.left)),
        tuple(classes),
        (*_notes(files, pairing), *builder.notes, *labels_seen.doubts),
        labels_seen.fault,
        labels_seen.all_seen,
    )


def _how(pairing: Pairing, images: Sequence[AnnotatedImage]) -> str:
    """How the annotations lie in the folder, in words."""
    numbers = Counter(unit.file for some in pairing.matches.values() for units in some for unit in units)
    if images and all(image.one_mask_per_file for image in images):
        return "a mask per cell and file"
    if any(len(units) > 1 for some in pairing.matches.values() for units in some):
        return "several files per image"
    if max(numbers.values()) > 1:
        return "a file for all images" if len(numbers) == 1 else "several images per file"
    beside = {_parent(image) == _parent(some[0][0].file) for image, some in pairing.matches.items()}
    return "a file per image" + (", beside it" if beside == {True} else "")


def _parent(name: str) -> str:
    return name.rpartition("/")[0]


def _notes(files: FolderFiles, pairing: Pairing) -> list[str]:
    notes = []
    for file, missing in pairing.missing.items():
        notes.append(f"{file} names images that are not in the folder, {name_some(missing)}; put them there")
    for what, paths in (
        ("pictures made from the images, not used", files.aside),
        ("markers of tracking, not used", files.markers),
        ("images of another channel than brightfield, not used", pairing.aside),
        ("files in no known format, not read", files.unread),
    ):
        if paths:
            notes.append(f"{what}: {name_some(paths)}")
    left_out: dict[str, Counter] = defaultdict(Counter)
    for some in pairing.matches.values():
        for unit in (unit for units in some for unit in units):
            for what, number in (unit.found.left_out or {} if unit.found else {}).items():
                left_out[what][unit.file] += number
    for what, counts in left_out.items():
        notes.append(f"left out, {sum(counts.values())} {what}, in {name_some(counts)}")
    return notes
