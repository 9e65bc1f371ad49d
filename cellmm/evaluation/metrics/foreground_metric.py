"""How well cells and background are told apart, near the cells."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cellmm.checks import check_share
from cellmm.evaluation import functional as F
from cellmm.registry import METRICS
from cellmm.structures import rle

from .image_result import read_sample
from .per_image_metric import PerImageMetric
from .result_files import write_table


@dataclass
class ForegroundResult:
    """One image: ``counts`` int64 (4,), as of ``foreground_counts``."""

    img_id: int
    name: str
    counts: np.ndarray


@METRICS.register_module()
class ForegroundMetric(PerImageMetric):
    """The union of the predicted masks beside the union of the cells, with the prefix ``foreground/``.

    - ``IoU``: mean over the images; ``IoU_pooled``: the pixels of all images together.
    - ``area_ratio``: predicted by true area, mean over the images, above 1 where masks are too wide;
      ``area_ratio_sd``: its standard deviation over the images (of a sample, n - 1).

    Which mask has a pixel plays no part, so the numbers tell poor outlines against the background from poor
    outlines between cells. Only pixels within ``reach`` of a cell count: a false alarm that lies alone
    says nothing about outlines. All classes count as one. Pixels of crowd regions do not count. An image
    without cells has no area ratio, and with ``reach`` no IoU; the means leave it out.

    Args:
        score_thr: predictions with a lower score do not count.
        reach: px from the nearest pixel of a cell (Euclid); None: all pixels count.
        outfile_prefix: write ``<prefix>.foreground.csv``, the scores of each image.
    """

    default_prefix = "foreground"

    def __init__(
        self,
        *,
        score_thr: float = 0.3,
        reach: float | None = 3.0,
        outfile_prefix: str | None = None,
        collect_device: str = "cpu",
        prefix: str | None = None,
        collect_dir: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix, collect_dir=collect_dir)
        check_share(score_thr=score_thr)
        if reach is not None and not 0 < reach < np.inf:
            raise ValueError(f"reach is {reach}: pixels above 0 are needed, or None for all pixels")
        self.score_thr, self.reach, self.outfile_prefix = score_thr, reach, outfile_prefix

    @property
    def keys(self) -> Sequence[str]:
        return ("IoU", "IoU_pooled", "area_ratio", "area_ratio_sd")

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Count the pixels of each image: ``ori_shape``, ``eval_instances``, ``pred_instances`` are read."""
        for sample in data_samples:
            truth, predicted, name = read_sample(sample)
            shape = tuple(sample["ori_shape"])[:2]
            pairs = list(zip(truth["masks"], truth["ignore"], strict=True))
            scored = zip(predicted["masks"], predicted["scores"], strict=True)
            counts = F.foreground_counts(
                rle.union([mask for mask, score in scored if score >= self.score_thr], shape),
                rle.union([mask for mask, crowd in pairs if not crowd], shape),
                crowd=rle.union([mask for mask, crowd in pairs if crowd], shape),
                reach=self.reach,
            )
            self.results.append(ForegroundResult(int(sample["img_id"]), name, counts))

    def summarize(self, results: list[ForegroundResult]) -> dict[str, float]:
        """All numbers by key; writes the file of ``outfile_prefix``."""
        counts = np.stack([result.counts for result in results])
        scores = F.foreground_scores(counts)
        if self.outfile_prefix is not None:
            rows = [
                dict(img_id=result.img_id, image=result.name)
                | {name: float(values[i]) for name, values in scores.items()}
                for i, result in enumerate(results)
            ]
            write_table(Path(f"{self.outfile_prefix}.foreground.csv"), rows)
        ratios = scores["area_ratio"][~np.isnan(scores["area_ratio"])]
        return {
            "IoU": float(F.mean_of_defined(scores["IoU"])),
            "IoU_pooled": float(F.foreground_scores(counts.sum(0))["IoU"]),
            "area_ratio": float(F.mean_of_defined(ratios)),
            "area_ratio_sd": float(ratios.std(ddof=1)) if len(ratios) > 1 else float("nan"),
        }
