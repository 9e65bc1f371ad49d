"""A data set in cellmm's layout that is written image by image, and goes on after a stop."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cellmm.errors import CellMMError
from cellmm.io.coco_results import write_coco
from cellmm.io.files import UNFINISHED, atomic_path
from cellmm.io.layered_tiff import write_layered_tiff
from cellmm.io.planes import write_planes
from cellmm.results.run_folder import refuse_other_settings
from cellmm.structures import rle
from cellmm.synthesis.fields import Field

ANNOTATIONS = "annotations.json"
JOURNAL = "synthesis.jsonl"


@dataclass
class Counts:
    """What was made and what was left out, of a whole set."""

    images: int = 0
    cells: int = 0
    unplaced: int = 0  # cells that fitted nowhere
    lacking: int = 0  # cells that no source had left
    clipped: int = 0  # values of fields below 0 or above what a file or the generator takes

    def __str__(self) -> str:
        return (
            f"{self.images} images, {self.cells} cells; {self.unplaced} cells fitted nowhere, {self.lacking} "
            f"were lacking in the sources, {self.clipped} values were clipped"
        )


class SetFolder:
    """``images/0001.tif``, ``layers/0001.tif``, perhaps ``nuclei/0001.tif``, and ``annotations.json``.

    ``synthesis.jsonl`` says what is finished: its first line is the settings, each further line an image with
    its annotations, added when the files of the image are there, whole. ``annotations.json`` is made of it at
    the end.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.journal = self.path / JOURNAL

    def begin(self, settings: Mapping[str, str]) -> int:
        """State what is asked for, the first thing that is written; 0 images are finished.

        Raises:
            CellMMError: the folder is not empty.
        """
        if self.path.is_dir() and any(self.path.iterdir()):
            cure = " or go on with --resume" if self.journal.is_file() else ""
            raise CellMMError(f"{self.path} is not empty: name a new folder{cure}")
        with atomic_path(self.journal) as tmp:
            tmp.write_text(json.dumps(dict(settings)) + "\n", encoding="utf-8")
        return 0

    def go_on(self, settings: Mapping[str, str]) -> int:
        """How many images are finished. What was half written is removed.

        Raises:
            CellMMError: the set was begun with other settings, or is damaged.
        """
        for path in self.path.rglob(f".*{UNFINISHED}*"):
            path.unlink()
        if not self.journal.is_file():
            return self.begin(settings)
        with open(self.journal, "rb+") as file:
            if half := sum(len(line) for line in file if not line.endswith(b"\n")):
                file.seek(-half, os.SEEK_END)
                file.truncate()
        cure = "give the same, or name a new folder"
        refuse_other_settings(self.path, next(self._lines()), settings, cure)
        finished = 0
        for image in self._images():
            for folder in ("images", "layers", "nuclei"):
                expected = folder != "nuclei" or (self.path / folder).is_dir()
                if expected and not (self.path / folder / image["file_name"]).is_file():
                    raise CellMMError(
                        f"{self.path}: {folder}/{image['file_name']} was finished and is gone; put it back, "
                        "or name a new folder"
                    )
            finished += 1
        return finished

    def add(
        self, number: int, planes: np.ndarray, field: Field, category_ids: Sequence[int], clipped: int
    ) -> None:
        """Write image ``number``, from 1 on, one after another.

        Args:
            planes: uint16 (C, H, W).
            field: whose cells the image shows.
            category_ids: label 0 first.
            clipped: how many values of the field were.
        """
        name, (height, width) = f"{number:04d}.tif", field.cells.shape
        write_planes(self.path / "images" / name, planes)
        write_layered_tiff(self.path / "layers" / name, field.cells)
        if field.nuclei is not None:
            write_layered_tiff(self.path / "nuclei" / name, field.nuclei)
        masks = field.cells.to_rles()
        cells = zip(field.entries, masks, rle.bbox(masks).tolist(), rle.area(masks).tolist(), strict=True)
        annotations = [
            dict(
                image_id=number,
                category_id=category_ids[int(cell["label"])],
                segmentation=mask,
                bbox=box,
                area=area,
                iscrowd=int(cell["iscrowd"]),
                source=cell["source"],
            )
            for cell, mask, box, area in cells
        ]
        image = dict(id=number, file_name=name, height=height, width=width)
        counts = dict(unplaced=field.unplaced, lacking=field.lacking, clipped=clipped)
        with open(self.journal, "a", encoding="utf-8") as file:
            file.write(json.dumps(dict(image, counts=counts, annotations=annotations)) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def finish(self, categories: Sequence[dict]) -> Counts:
        """Write ``annotations.json`` of all images; what there is in the set."""
        counts, images = Counts(), []

        def annotations() -> Iterator[dict]:
            for image in self._images():
                for cell in image.pop("annotations"):
                    counts.cells += 1
                    yield dict(id=counts.cells) | cell
                for name, number in image.pop("counts").items():
                    setattr(counts, name, getattr(counts, name) + number)
                images.append(image)

        info = next(self._lines())
        content = dict(info=info, images=images, annotations=annotations(), categories=list(categories))
        write_coco(self.path / ANNOTATIONS, content)
        counts.images = len(images)
        return counts

    def _images(self) -> Iterator[dict]:
        lines = self._lines()
        next(lines)
        for number, image in enumerate(lines, start=1):
            if image.get("id") != number:
                raise self._damaged()
            yield image

    def _lines(self) -> Iterator[dict]:
        with open(self.journal, encoding="utf-8") as file:
            for line in file:
                try:
                    yield json.loads(line)
                except ValueError as error:
                    raise self._damaged() from error

    def _damaged(self) -> CellMMError:
        return CellMMError(f"{self.journal} is damaged: name a new folder")
