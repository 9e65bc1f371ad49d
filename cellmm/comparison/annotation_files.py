"""Results in the files of other programs: label images, outlines, a folder of them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np

from cellmm.comparison.truth import Truth
from cellmm.datasets.folders import names
from cellmm.datasets.folders.files import LABEL_IMAGES, sort_files, walk
from cellmm.datasets.folders.pairing import Pairing, Unit, pair
from cellmm.errors import CellMMError
from cellmm.io.annotations import (
    AnnotatedCell,
    ImageAnnotation,
    LabelImageReader,
    YoloReader,
    annotation_readers,
    cell_runs,
    find_reader,
    read_yolo,
)
from cellmm.io.annotations.collected import CollectedCells
from cellmm.io.annotations.label_image import add_labels
from cellmm.io.image_file import ImageFile
from cellmm.io.label_check import look_at_labels
from cellmm.messages import name_some
from cellmm.structures import MaskRuns

ARRAYS = "NumPy label array"


def read_annotations(path: Path, truth: Truth, *, layout: str | None) -> tuple[list[dict], list[str]]:
    """COCO results (``score`` None where there is none) of a file or a folder, and notes.

    Files are paired with the images of the truth by the names that they state, else by their own names.

    Raises:
        CellMMError: nothing there can be read or belongs to an image, or a file is damaged.
    """
    root, kinds = _kinds(path)
    if layout is not None:
        chosen = [title for title in kinds if title.casefold() == layout.casefold()]
        if not chosen:
            raise CellMMError(f"{path}: no results of the kind {layout!r}; it has {', '.join(kinds)}")
        kinds = {title: kinds[title] for title in chosen}
    images = truth.image_names
    units = {title: _units(root, title, files) for title, files in kinds.items()}
    pairings = {title: _pair(images, some) for title, some in units.items()}
    fitting = [title for title, pairing in pairings.items() if pairing.matches or pairing.problems]
    if len(fitting) > 1:
        some = [f"{title} ({name_some(kinds[title], 1)})" for title in fitting]
        raise CellMMError(
            f"{path} holds results of several kinds, {' and '.join(some)}: choose one, as with --layout "
            f"NAME={fitting[0]!r}"
        )
    if not fitting:
        files = [file for some in kinds.values() for file in some]
        raise CellMMError(
            f"{path}: its files {name_some(files, 3)} belong to none of the images {name_some(images, 3)} of "
            f"{truth.name}: give them the names of the images, as a_masks.tif of a.tif"
        )
    title = fitting[0]
    pairing = pairings[title]
    if pairing.problems:
        raise CellMMError(f"{path}: {pairing.problems[0]}")
    _check_labels(root, title, pairing)
    notes = _notes(pairing, images)
    results = []
    for place, image in enumerate(images):
        for unit in pairing.matches.get(image, [[]])[0]:
            results += _of_unit(root, title, unit, truth, place, notes)
    return results, [f"read as {title}", *_joined(notes)]


def _kinds(path: Path) -> tuple[Path, dict[str, list[str]]]:
    """The folder, and {kind of results: its files}, relative."""
    if path.is_dir():
        root, paths = path, list(walk(path))
    else:
        root, paths = path.parent, [path.name]
    files = sort_files(root, paths)
    kinds = {title: some for title, (_, some) in files.annotations.items()}
    labels = kinds.get(LABEL_IMAGES) or [
        name for name in files.images if LabelImageReader().recognises(root / name)
    ]
    named = {names.key(name, 0, annotation=True) for name in labels}
    labels += [
        name
        for name in files.images
        if names.key(name, 0, annotation=True) not in named and _is_empty(root / name)
    ]
    if labels:
        kinds[LABEL_IMAGES] = labels
    if arrays := [name for name in paths if name.lower().endswith(".npy") and not find_reader(root / name)]:
        kinds[ARRAYS] = arrays
    if not kinds:
        known = ", ".join(reader.title for reader in annotation_readers())
        raise CellMMError(f"{path} holds no results that can be read: label images, or files of {known}")
    return root, kinds


def _is_empty(path: Path) -> bool:
    """Whether it is a label image in which nothing was found."""
    try:
        with ImageFile(path, stored=True) as file:
            plain = file.axes[-2:] == "YX" and len(file.axes) <= 3 and file.dtype.kind in "iub"
            return plain and not file.read().any()
    except (CellMMError, OSError):
        return False


def _units(root: Path, title: str, files: Sequence[str]) -> list[Unit]:
    """Files that need the image's size, or are large, are read later, one after another."""
    if title in (LABEL_IMAGES, ARRAYS, YoloReader.title):
        return [Unit(file) for file in files]
    reader = next(reader for reader in annotation_readers() if reader.title == title)
    units = []
    for file in files:
        found = reader.read(root / file)
        units += [
            Unit(file, () if image.image is None else (image.image,), alone=len(found) == 1, found=image)
            for image in found
        ]
    return units


def _pair(images: Sequence[str], units: Sequence[Unit]) -> Pairing:
    """Pair, also by a name that goes on after that of the image, as a_instanseg_prediction.tif of a.tif."""
    pairing = pair(images, units)
    left, count = [], Counter(map(names.stem, images))
    stems = {names.stem(image): image for image in images if count[names.stem(image)] == 1}
    for unit in pairing.left:
        text = names.stem(unit.file)
        starts = [stem for stem in stems if text.startswith(stem) and not text[len(stem) :][:1].isalnum()]
        image = stems[max(starts, key=len)] if starts else None
        if image is None:
            left.append(unit)
        elif image in pairing.matches:
            first = pairing.matches[image][0][0].file
            pairing.problems.append(
                f"{image} has results in {first} and in {unit.file}: move one of them away"
            )
        else:
            pairing.matches[image].append([unit])
    return replace(pairing, left=left)


def _notes(pairing: Pairing, images: Sequence[str]) -> list[str]:
    notes = []
    if missing := [image for image in images if image not in pairing.matches]:
        notes.append(
            f"{len(missing)} of {len(images)} images have no file and count as empty: {_some(missing)}"
        )
    extra = [unit.file for unit in pairing.left]
    extra += [name for some in pairing.missing.values() for name in some]
    if extra:
        notes.append(f"files of images that the truth lacks are left out, {name_some(dict.fromkeys(extra))}")
    return notes


def _some(items: Sequence[str]) -> str:
    return name_some(items).partition(": ")[2]


def _check_labels(root: Path, title: str, pairing: Pairing) -> None:
    """Refuse label images with one number for all cells."""
    if title == LABEL_IMAGES:
        files = [unit.file for some in pairing.matches.values() for unit in some[0]]
        infos = [dict(label_path=root / file, img_path=str(root / file)) for file in files]
        if fault := look_at_labels(infos, root).fault:
            raise CellMMError(f"{root}: {fault}")


def _of_unit(root: Path, title: str, unit: Unit, truth: Truth, place: int, notes: list[str]) -> list[dict]:
    """COCO results of one file and image; adds to ``notes``."""
    path, shape = root / unit.file, truth.shape(place)
    if unit.found is not None:
        found = unit.found
    elif title == YoloReader.title:
        (found,) = read_yolo(path, shape, scores=True)
    else:
        (found,) = _read_array(path) if title == ARRAYS else LabelImageReader().read(path)
    if found.shape is not None and tuple(found.shape) != shape:
        raise CellMMError(
            f"{path} is of an image of {found.shape[0]}x{found.shape[1]} pixels, "
            f"{truth.image_names[place]} has {shape[0]}x{shape[1]}: save the results in the size of the image"
        )
    if any(cell.time for cell in found.cells):
        raise CellMMError(f"{path} is of several time points: save a file per image")
    notes += [f"left out {what}: {count}" for what, count in (found.left_out or {}).items()]
    runs = MaskRuns.concatenate([MaskRuns.empty(shape), *(cell_runs(cell, shape) for cell in found.cells)])
    results = [
        dict(
            image_id=truth.samples[place]["img_id"],
            category_id=_category(path, cell, truth),
            segmentation=mask,
            score=cell.score,
        )
        for cell, mask, area in zip(found.cells, runs.to_rles(), runs.areas().tolist(), strict=True)
        if area
    ]
    if hollow := len(found.cells) - len(results):
        notes.append(f"left out outlines without a pixel: {hollow}")
    return results


def _joined(notes: Sequence[str]) -> list[str]:
    """Notes that say the same with a count, as one with the sum."""
    counts: dict[str, int] = {}
    lines = []
    for note in notes:
        what, _, number = note.rpartition(": ")
        if what.startswith("left out ") and number.isdecimal():
            counts[what] = counts.get(what, 0) + int(number)
        else:
            lines.append(note)
    return [*lines, *(f"{what}: {count}" for what, count in counts.items())]


def _category(path: Path, cell: AnnotatedCell, truth: Truth) -> int:
    known = truth.classes
    if truth.class_agnostic or len(known) == 1:
        return next(iter(known.values()))
    if cell.label not in known:
        what = "cells without a class" if cell.label is None else f"cells of class {cell.label!r}"
        raise CellMMError(
            f"{path} has {what}, the truth has {list(known)}: name them so, or give --class-agnostic"
        )
    return known[cell.label]


def _read_array(path: Path) -> list[ImageAnnotation]:
    """The cells of a NumPy array, a number per cell."""
    try:
        label = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise CellMMError(f"{path} is not an array of NumPy that is safe to read ({error})") from error
    label = np.squeeze(label) if label.ndim > 2 else label
    if label.ndim != 2 or label.dtype.kind not in "iub":
        raise CellMMError(
            f"{path} holds an array of shape {label.shape} and type {label.dtype}, not a label image (H, W): "
            "save whole numbers, one per cell"
        )
    found = CollectedCells(path, PurePosixPath(path.name).stem, label.shape)
    add_labels(found, label)
    return [found.annotation()]
