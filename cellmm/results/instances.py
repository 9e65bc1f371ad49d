"""The cells that a model found in one image."""

import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cellmm.errors import CellMMError
from cellmm.extras import need
from cellmm.io.files import atomic_path
from cellmm.structures import CellSample, LabelLayers, MaskRuns, assign_layers, paint_bands
from cellmm.visualization import draw_instances, encode_picture, instance_colors

if TYPE_CHECKING:
    import pandas
    from roifile import ImagejRoi

NOTEBOOK_SIZE = 600  # pixels of the longer side of a picture in a notebook


@dataclass(frozen=True)
class Instances:
    """N cells of one image, best first; their masks may overlap.

    In all formats, cell i has the number i + 1.

    Args:
        masks: of the image in the pixels of its file; ``masks.shape`` is (H, W).
        scores: float32 (N,) in [0, 1].
        labels: int64 (N,), classes from 0.
        classes: the names of the labels.
        category_ids: their ids in the annotation that was trained on.
        pixel_size: (y, x) in micrometres; None: not known.
        name: of the image, as in the results' files.

    Raises:
        ValueError: other numbers of scores or labels than of masks, or a label without a class.

    Examples:
        >>> masks = MaskRuns.from_crops([np.ones((2, 3), bool)] * 2, [(0, 0), (1, 1)], (4, 6))
        >>> cells = Instances(masks, np.array([0.9, 0.8], np.float32), np.zeros(2, np.int64))
        >>> labels, num_covered = cells.to_labels()
        >>> labels[1].tolist(), num_covered
        ([1, 1, 1, 2, 0, 0], 2)
    """

    masks: MaskRuns
    scores: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...] = ("cell",)
    category_ids: tuple[int, ...] = (1,)
    pixel_size: tuple[float, float] | None = None
    name: str = ""

    def __post_init__(self) -> None:
        if not len(self.masks) == len(self.scores) == len(self.labels):
            raise ValueError(
                f"{self.name}: {len(self.masks)} masks, {len(self.scores)} scores, {len(self.labels)} labels"
            )
        if len(self.classes) != len(self.category_ids):
            raise ValueError(f"{self.name}: classes {self.classes}, category_ids {self.category_ids}")
        if len(self) and not 0 <= self.labels.min() <= self.labels.max() < len(self.classes):
            found = f"labels {self.labels.min()} to {self.labels.max()}"
            raise ValueError(f"{self.name}: {found} for {len(self.classes)} classes")

    @classmethod
    def of_layers(cls, cells: LabelLayers, name: str = "") -> "Instances":
        """Annotated cells, all of one class, with score 1."""
        masks = MaskRuns.from_rles(cells.to_rles(), cells.shape)
        return cls(masks, np.ones(len(masks), np.float32), np.zeros(len(masks), np.int64), name=name)

    @classmethod
    def of_sample(cls, sample: CellSample, **fields) -> "Instances":
        """What ``sample.pred_instances`` holds; ``fields``: classes, category_ids, pixel_size and name."""
        found = sample.pred_instances
        masks = MaskRuns.from_rles(found.masks, sample.ori_shape)
        scores, labels = found.scores.float().numpy(), found.labels.numpy().astype(np.int64)
        return cls(masks=masks, scores=scores, labels=labels, **fields)

    @classmethod
    def load(cls, path: str | Path) -> "Instances":
        """What ``save`` wrote.

        Raises:
            CellMMError: not such a file.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                runs = [file[key] for key in ("first", "x", "y", "length")]
                height, width = file["shape"].tolist()
                return cls(
                    masks=MaskRuns((height, width), *runs),
                    scores=file["scores"],
                    labels=file["labels"],
                    classes=tuple(file["classes"].tolist()),
                    category_ids=tuple(file["category_ids"].tolist()),
                    pixel_size=tuple(file["pixel_size"].tolist()) or None,
                    name=str(file["name"]),
                )
        except FileNotFoundError as error:
            raise CellMMError(f"{path} is absent: check the path") from error
        except (KeyError, ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise CellMMError(f"{path} is not a file of Instances.save ({error}): write it again") from error

    def save(self, path: str | Path) -> None:
        """Write everything into an .npz file; the same cells give the same bytes.

        Raises:
            ValueError: another suffix.
        """
        if Path(path).suffix != ".npz":
            raise ValueError(f"{path}: the name has to end in .npz")
        with atomic_path(path) as tmp:
            np.savez_compressed(
                tmp,
                shape=np.array(self.shape, np.int64),
                first=self.masks.first,
                x=self.masks.x,
                y=self.masks.y,
                length=self.masks.length,
                scores=self.scores,
                labels=self.labels,
                classes=np.array(self.classes, dtype=np.str_),
                category_ids=np.array(self.category_ids, np.int64),
                pixel_size=np.array(self.pixel_size or (), np.float64),
                name=np.array(self.name, dtype=np.str_),
            )

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) of the image."""
        return self.masks.shape

    def __len__(self) -> int:
        return len(self.masks)

    def __repr__(self) -> str:
        height, width = self.shape
        return f"Instances({self.name!r}, {len(self)} cells, {height} x {width} px)"

    def _repr_png_(self) -> bytes:
        """A small picture for notebooks, on black."""
        step = max(-(-max(self.shape) // NOTEBOOK_SIZE), 1)
        masks = self.masks.thinned(step)
        colors = instance_colors(masks.boxes()[:, [1, 0, 3, 2]], self.labels, len(self.classes))
        picture = draw_instances(np.zeros(masks.shape), masks.to_rles(), colors=colors)
        return encode_picture(picture)

    def class_names(self) -> list[str]:
        """The class of each cell."""
        return [self.classes[label] for label in self.labels.tolist()]

    def select(self, index: Sequence[int] | np.ndarray) -> "Instances":
        """The cells of ``index``, in its order: whole numbers, or bool (N,)."""
        return replace(
            self, masks=self.masks.select(index), scores=self.scores[index], labels=self.labels[index]
        )

    def to_layers(self) -> LabelLayers:
        """The cells as a stack of label images, which keeps overlap; ids count from 1."""
        return LabelLayers.from_rles(self.masks.to_rles(), self.shape)

    def in_layers(self) -> list[tuple[MaskRuns, np.ndarray]]:
        """The cells as layers without overlap, at least one: the masks of each, and their ids from 1."""
        layer = assign_layers(self.masks)
        cells = [np.flatnonzero(layer == i) for i in range(int(layer.max(initial=0)) + 1)]
        return [(self.masks.select(index), index + 1) for index in cells]

    def by_score(self) -> tuple[MaskRuns, np.ndarray]:
        """The masks with their ids from 1, the best score last, which is on top when they are painted.

        Of equal scores, the first cell comes last.
        """
        order = np.lexsort((-np.arange(len(self)), self.scores))
        return self.masks.select(order), order + 1

    def to_labels(self) -> tuple[np.ndarray, int]:
        """One label image, int32 (H, W), and the number of pixels where cells were covered by others.

        Cell i has the id i + 1. Where cells overlap, the pixel belongs to the one with the best score (the
        first of those with equal scores). A pixel where two cells are covered counts twice.
        """
        labels = np.zeros(self.shape, dtype=np.int32)
        for top, band in paint_bands(*self.by_score()):
            labels[top : top + len(band)] = band
        return labels, int(self.masks.areas().sum() - np.count_nonzero(labels))

    def to_rois(self) -> list["ImagejRoi"]:
        """ImageJ's ROIs, one per cell that has pixels; see ``cellmm.results.writers.rois``."""
        from cellmm.results.writers.rois import to_rois

        return list(to_rois(self))

    def to_geojson(self, image: np.ndarray | None = None) -> dict:
        """A FeatureCollection as QuPath reads it; see ``cellmm.results.writers.geojson``.

        Args:
            image: (H, W) or (H, W, C), for the intensities.
        """
        from cellmm.results.measurements import measure
        from cellmm.results.writers.geojson import features

        return dict(type="FeatureCollection", features=list(features(self, measure(self, image))))

    def to_coco(self) -> dict:
        """The content of a COCO json of this image, whose id is 1.

        Raises:
            CellMMError: the image is too large for COCO RLE.
        """
        from cellmm.results.writers.coco import to_coco

        return to_coco(self)

    def to_dataframe(self, image: np.ndarray | None = None) -> "pandas.DataFrame":
        """The measurements of the cells, one row per cell; see ``cellmm.results.measurements``.

        Args:
            image: (H, W) or (H, W, C), for the intensities.
        """
        from cellmm.results.measurements import measure

        pandas = need("pandas", "tables", "tables of measurements")
        return pandas.DataFrame(measure(self, image))
