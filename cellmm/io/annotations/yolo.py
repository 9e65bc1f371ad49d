"""YOLO's labels for segmentation: a text file per image, a line per cell."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import yaml

from cellmm.errors import CellMMError
from cellmm.io.annotations.base import ImageAnnotation
from cellmm.io.annotations.collected import CollectedCells, checked_cells
from cellmm.io.coco_segmentations import short
from cellmm.io.file_index import IMAGE_SUFFIXES
from cellmm.io.image_file import ImageFile
from cellmm.registry import ANNOTATION_READERS

HEAD = 2**14
SLACK = 1.5  # coordinates are shares of the image, and a little more where a shape sticks out
LEVELS = 3  # folders above the labels in which the names of classes are sought
YAML = (".yaml", ".yml")
BOX = 5  # numbers of a line: the class and a box


@ANNOTATION_READERS.register_module()
class YoloReader:
    """Outlines as shares of the image, whose size is read from the image file itself.

    The image has the same name beside the file, or in ``images`` where the path of the file has ``labels``.
    The names of the classes are those of ``data.yaml`` (any ``*.yaml`` with ``names``) or ``classes.txt`` in
    a folder above; without these, a class is its number.
    """

    title = "YOLO segmentation txt"
    suffixes = (".txt",)

    def recognises(self, path: Path) -> bool:
        try:
            with open(path, "rb") as file:
                head = file.read(HEAD)
                whole = not file.read(1)
            lines = head.decode("utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError):
            return False
        lines = [line.split() for line in (lines if whole else lines[:-1]) if line.strip()]
        if not lines:
            return whole and _image_of(path) is not None
        return all(_is_label(line) for line in lines)

    def read(self, path: Path) -> list[ImageAnnotation]:
        image = _image_of(path)
        if image is None:
            raise CellMMError(
                f"{path}: its outlines are shares of an image, and no image {path.stem}.png (or .tif, .jpg, "
                "...) is beside it or in the folder images; put the images there"
            )
        with ImageFile(image) as file:
            shape = tuple(file.shape[file.axes.index(axis)] for axis in "YX")
        return read_yolo(path, shape, image.name)


def read_yolo(
    path: Path, shape: tuple[int, int], image: str | None = None, *, scores: bool = False
) -> list[ImageAnnotation]:
    """The cells of a file whose image has the ``shape`` (H, W) and, perhaps, the name ``image``.

    Args:
        scores: a number that follows the pairs of a line, as in predictions, is the score.

    Raises:
        CellMMError: it is not such a file.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CellMMError(f"{path} cannot be read ({error}): export it again") from error
    found, names = CollectedCells(path, image, shape), None
    lines = [line.split() for line in text.splitlines()]
    box = (BOX, BOX + 1) if scores else (BOX,)
    boxes = sum(len(line) in box for line in lines)
    for number, line in enumerate(lines, start=1):
        if not line or len(line) in box:
            continue
        has_score = len(line) % 2 == 0
        if not _is_label(line) or (has_score and not (scores and 0 <= float(line[-1]) <= 1)):
            raise CellMMError(
                f"{path}: line {number} is {short(' '.join(line))}, not a class and pairs of shares of "
                "the image (0 to 1): export it again as YOLO segmentation"
            )
        names = _class_names(path) if names is None else names
        label = _class(path, int(line[0]), names)
        score = float(line.pop()) if has_score else None
        points = np.array(line[1:], dtype=np.float64).reshape(-1, 2) * shape[::-1]
        found.add([points], f"line {number}", label=label, score=score)
    found.leave_out("boxes", boxes)
    return checked_cells(
        path, [found], "a box does not say which pixels a cell has: export it as YOLO segmentation"
    )


def _is_label(line: list[str]) -> bool:
    """Whether the words are a class and coordinates."""
    if len(line) < BOX or not line[0].isdecimal():
        return False
    try:
        return all(abs(float(word)) <= SLACK for word in line[1:])
    except ValueError:
        return False


def _image_of(path: Path) -> Path | None:
    parts = list(path.parts)
    folders = [path.parent]
    if "labels" in parts:
        at = len(parts) - 1 - parts[::-1].index("labels")
        folders.append(Path(*parts[:at], "images", *parts[at + 1 : -1]))
    folders += [path.parent.parent / "images", path.parent.parent]
    names = [path.stem + suffix for text in IMAGE_SUFFIXES for suffix in (text, text.upper())]
    return next((file for folder in folders for name in names if (file := folder / name).is_file()), None)


def _class_names(path: Path) -> dict[int, str]:
    """{number: name}; empty where no file names the classes."""
    for folder in list(path.absolute().parents)[:LEVELS]:
        for file in _name_files(folder):
            try:
                text = file.read_text(encoding="utf-8-sig")
                content = yaml.safe_load(text) if file.suffix in YAML else {"names": text.splitlines()}
            except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
                line = " ".join(str(error).split())[:200]
                raise CellMMError(f"{file} cannot be read ({line}): repair or remove it") from error
            names = content.get("names") if isinstance(content, dict) else None
            names = dict(enumerate(names)) if isinstance(names, list) else names
            if isinstance(names, dict):
                return {number: str(name).strip() for number, name in names.items() if str(name).strip()}
    return {}


def _name_files(folder: Path) -> Iterator[Path]:
    yield from (file for name in ("data.yaml", "data.yml") if (file := folder / name).is_file())
    yield from sorted(file for file in folder.glob("*.yaml") if file.name != "data.yaml")
    yield from (file for name in ("classes.txt", "obj.names") if (file := folder / name).is_file())


def _class(path: Path, number: int, names: dict[int, str]) -> str:
    if names and number not in names:
        raise CellMMError(f"{path}: class {number} has no name, just {short(names)}; add it to data.yaml")
    return names.get(number, f"class {number}")
