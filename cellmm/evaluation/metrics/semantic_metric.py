"""Accuracy, precision, recall, F1 and IoU of the maps of an image's parts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cellmm.errors import CellMMError
from cellmm.evaluation import functional as F
from cellmm.registry import METRICS
from cellmm.structures import SEMANTIC_NAMES, LabelLayers, rle, semantic_maps

from .image_result import image_name, read_map
from .per_image_metric import PerImageMetric

SCORES = ("Acc", "Prec", "Rec", "F1", "IoU")
DEFAULT_THRESHOLD, OVERLAP_THRESHOLD = 0.5, 0.3  # sparseseunet 5.3, 5.4


@dataclass
class MapCounts:
    """One image: ``counts`` int64 (targets, 4), as of ``pixel_counts``."""

    img_id: int
    name: str
    counts: np.ndarray


@METRICS.register_module()
class SemanticMetric(PerImageMetric):
    """``cytoplasm/Acc``, ``/Prec``, ``/Rec``, ``/F1``, ``/IoU`` of each of ``targets``, in [0, 1].

    The pixels of all images are counted together, in the original frame; nothing is averaged over images or
    over maps. The truth is made of ``eval_instances`` and, for nuclei, ``eval_nuclei`` by ``semantic_maps``,
    as the targets of training are. Pixels of crowd regions do not count. A number without a pixel in its
    denominator is nan: Prec if nothing is predicted, Rec if nothing is to be found, F1 and IoU if both hold.
    sparseseunet 5.3, 5.4, tables 5.1 to 5.3.

    Args:
        targets: the maps of ``pred_semantic`` that are scored.
        thresholds: a pixel is positive from this probability on; 0.5 for a map that is not named, and 0.3 for
            overlap.
        border_width: of the border, as in the targets of training: in pixels of the network's frame. In the
            original frame it is ``border_width`` times the scale of ``to_original`` (the root of the
            determinant of its 2x2 part), rounded, at least 1 pixel.
    """

    def __init__(
        self,
        *,
        targets: Sequence[str],
        thresholds: Mapping[str, float] | None = None,
        border_width: int = 2,
        collect_device: str = "cpu",
        prefix: str | None = None,
        collect_dir: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix, collect_dir=collect_dir)
        if isinstance(targets, str) or not targets or len(set(targets)) < len(targets):
            raise ValueError(f"targets is {targets!r}: a list of maps, each once, is needed")
        if unknown := [name for name in targets if name not in SEMANTIC_NAMES]:
            raise ValueError(
                f"targets has {unknown[0]!r}: choose from {SEMANTIC_NAMES}; a map of your own needs a metric "
                "of your own, as only the truth of these is made from the cells"
            )
        if strange := [name for name in thresholds or {} if name not in targets]:
            raise ValueError(f"thresholds has {strange[0]!r}, which is none of targets {list(targets)}")
        self.targets = tuple(targets)
        self.thresholds = {
            name: OVERLAP_THRESHOLD if name == "overlap" else DEFAULT_THRESHOLD for name in targets
        } | dict(thresholds or {})
        if wrong := {name: value for name, value in self.thresholds.items() if not 0 < value <= 1}:
            raise ValueError(f"thresholds is {wrong}: above 0 and at most 1 is needed")
        if border_width < 1 or int(border_width) != border_width:
            raise ValueError(f"border_width is {border_width}: a whole number of pixels from 1 is needed")
        self.border_width = border_width

    @property
    def keys(self) -> list[str]:
        return [f"{target}/{score}" for target in self.targets for score in SCORES]

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Count the pixels of each image; CellMMError names the image and what is missing."""
        for sample in data_samples:
            name = image_name(sample)
            truth, counted = self._truth(sample, name)
            counts = [
                F.pixel_counts(
                    read_map(sample, target, name) >= self.thresholds[target], truth[target], counted
                )
                for target in self.targets
            ]
            self.results.append(MapCounts(img_id=int(sample["img_id"]), name=name, counts=np.stack(counts)))

    def summarize(self, results: list[MapCounts]) -> dict[str, float]:
        """All numbers by key."""
        scores = F.pixel_scores(np.sum([result.counts for result in results], axis=0))
        return {
            f"{target}/{score}": float(scores[score][row])
            for row, target in enumerate(self.targets)
            for score in SCORES
        }

    def _truth(self, sample: dict, name: str) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
        """The maps, and which pixels count, bool (H, W) (None: all)."""
        if "eval_instances" not in sample:
            raise CellMMError(
                f"{name}: no eval_instances; put LoadCells(keep_original=True) into the pipeline"
            )
        shape = tuple(sample["ori_shape"])[:2]
        masks = list(sample["eval_instances"]["masks"])
        ignore = np.asarray(sample["eval_instances"]["ignore"], bool)
        crowd = [mask for mask, ignored in zip(masks, ignore, strict=True) if ignored]
        cells = [mask for mask, ignored in zip(masks, ignore, strict=True) if not ignored]
        nuclei = None
        if "nuclei" in self.targets:
            if "eval_nuclei" not in sample:
                raise CellMMError(
                    f"{name}: no eval_nuclei for the map 'nuclei'; put LoadNuclei(keep_original=True) into "
                    "the pipeline, or leave nuclei out of targets"
                )
            nuclei = list(sample["eval_nuclei"]["masks"])
        try:
            truth = semantic_maps(
                LabelLayers.from_rles(cells, shape),
                None if nuclei is None else LabelLayers.from_rles(nuclei, shape),
                self.targets,
                border_width=max(1, round(self.border_width * _scale(sample))),
            )
            return truth, ~rle.union(crowd, shape) if crowd else None
        except CellMMError as error:
            raise CellMMError(f"{name}: {error}") from error


def _scale(sample: dict) -> float:
    """Pixels of the original image per pixel of the network's frame, geometric mean of both directions."""
    return float(np.abs(np.linalg.det(np.asarray(sample.get("to_original", np.eye(3)))[:2, :2])) ** 0.5)
