"""The scores of the GlaS challenge, for each part of the test set."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy

from cellmm.errors import CellMMError
from cellmm.evaluation import functional as F
from cellmm.registry import METRICS
from cellmm.structures import MaskRuns, rle

from .image_result import read_map, read_sample
from .per_image_metric import PerImageMetric
from .result_files import write_table


@dataclass
class GlandResult:
    """One image; ``bce``: by name, of its pixels."""

    img_id: int
    name: str
    part: str | None
    matches: F.GlandMatches
    bce: dict[str, float]


@METRICS.register_module()
class GlandMetric(PerImageMetric):
    """F1, object Dice and object Hausdorff as the GlaS challenge defines them, BCE, and how many are counted.

    ``F1``, ``object_dice``, ``object_hausdorff`` (px of the original image) and ``count_ratio`` are those of
    ``gland_scores``: over all images of a part together. All classes count as one. Predictions of which at
    least half lies in crowd regions do not count.

    ``BCE``: mean binary cross-entropy of the map ``target`` over the pixels of an image, averaged over the
    images; ``BCE_binary``: the same of the union of the predicted cells as probabilities of 0 and 1, with
    logarithms of at least -100, as in torch, so that it is 100 times the share of wrong pixels. glas-report
    6.3 gives that of its Mask R-CNN. Pixels of crowd regions do not count.

    Source: GlaS.

    Args:
        parts: {name: pattern of file names with * and ?}, such as {"A": "testA_*", "B": "testB_*"}. Keys
            become ``A/F1``; an image that fits none of the parts, or several, is an error. None: plain keys.
        score_thr: predictions with a lower score do not count.
        target: the map of ``pred_semantic`` that says how likely a pixel is in a cell; None: no ``BCE``.
        outfile_prefix: write ``<prefix>.glands.csv``, the scores of each image.
    """

    def __init__(
        self,
        *,
        parts: Mapping[str, str] | None = None,
        score_thr: float = 0.5,
        target: str | None = None,
        outfile_prefix: str | None = None,
        collect_device: str = "cpu",
        prefix: str | None = None,
        collect_dir: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix, collect_dir=collect_dir)
        if parts is not None and not parts:
            raise ValueError('parts is empty: give names and patterns such as {"A": "testA_*"}, or None')
        self.parts = None if parts is None else dict(parts)
        self.score_thr, self.target, self.outfile_prefix = score_thr, target, outfile_prefix

    @property
    def names(self) -> list[str]:
        """The scores of a part, and of an image."""
        return [*F.GLAND_SCORES, *([] if self.target is None else ["BCE"]), "BCE_binary"]

    @property
    def keys(self) -> list[str]:
        return self.names if self.parts is None else [f"{p}/{n}" for p in self.parts for n in self.names]

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Score each image; CellMMError names the image and what is missing."""
        for sample in data_samples:
            truth, predicted, name = read_sample(sample)
            shape = tuple(sample["ori_shape"])[:2]
            cells, crowd = _split(truth)
            scored = zip(predicted["masks"], predicted["scores"], strict=True)
            found = [mask for mask, score in scored if score >= self.score_thr]
            ignored = rle.union(crowd, shape)
            segmented = MaskRuns.from_rles(found, shape)
            if crowd:
                segmented = _outside(segmented, ignored)
            union, real = rle.union(segmented.to_rles(), shape), rle.union(cells, shape)
            bce = {"BCE_binary": _bce(union, real, ~ignored)}
            if self.target is not None:
                bce["BCE"] = _bce(read_map(sample, self.target, name), real, ~ignored)
            matches = F.match_glands(segmented, MaskRuns.from_rles(cells, shape))
            self.results.append(GlandResult(int(sample["img_id"]), name, self._part(name), matches, bce))

    def image_scores(self, result: GlandResult) -> dict[str, float]:
        """The scores of one image by the names of the metric, as if it were the whole test set."""
        return self._scores([result])

    def summarize(self, results: list[GlandResult]) -> dict[str, float]:
        """All numbers by key; writes the file of ``outfile_prefix``."""
        if self.outfile_prefix is not None:
            rows = [
                dict(img_id=r.img_id, image=r.name, cells=len(r.matches.annotated.areas))
                | dict(predictions=len(r.matches.segmented.areas))
                | self.image_scores(r)
                for r in results
            ]
            write_table(Path(f"{self.outfile_prefix}.glands.csv"), rows)
        if self.parts is None:
            return self._scores(results)
        numbers = {}
        for part in self.parts:
            of_part = [result for result in results if result.part == part]
            if not of_part:
                raise CellMMError(
                    f"no image of part {part!r} ({self.parts[part]!r}) among {len(results)}: change parts of "
                    "GlandMetric, or the dataset"
                )
            numbers |= {f"{part}/{name}": value for name, value in self._scores(of_part).items()}
        return numbers

    def _scores(self, results: Sequence[GlandResult]) -> dict[str, float]:
        scores = F.gland_scores([result.matches for result in results])
        scores |= {name: float(F.mean_of_defined([r.bce[name] for r in results])) for name in results[0].bce}
        return {name: scores[name] for name in self.names}

    def _part(self, name: str) -> str | None:
        if self.parts is None:
            return None
        fitting = [part for part, pattern in self.parts.items() if fnmatchcase(name, pattern)]
        if len(fitting) != 1:
            raise CellMMError(
                f"{name}: fits {len(fitting)} of the parts {self.parts}: change parts of GlandMetric so that "
                "each image fits one"
            )
        return fitting[0]


def _split(truth: dict) -> tuple[list[dict], list[dict]]:
    """The masks of the cells, and of the crowd regions."""
    pairs = list(zip(truth["masks"], truth["ignore"], strict=True))
    return [mask for mask, crowd in pairs if not crowd], [mask for mask, crowd in pairs if crowd]


def _outside(masks: MaskRuns, region: np.ndarray) -> MaskRuns:
    """The masks of which less than half lies in ``region``, bool (H, W)."""
    index, _, shared = masks.intersections(MaskRuns.from_crops([region], [(0, 0)], masks.shape))
    inside = np.bincount(index, shared, len(masks))
    return masks.select((2 * inside < masks.areas()) | (inside == 0))


def _bce(probs: np.ndarray, truth: np.ndarray, counted: np.ndarray) -> float:
    """Mean over the pixels that are ``counted``, bool (H, W); nan without any."""
    if not counted.any():
        return np.nan
    probs, truth = (torch.from_numpy(values[counted].astype(np.float32)) for values in (probs, truth))
    return binary_cross_entropy(probs, truth).item()
