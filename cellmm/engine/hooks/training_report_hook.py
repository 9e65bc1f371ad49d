"""A page about the training, when it ends."""

import json
import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner

from cellmm.engine.work_dir import BEST_AND_WORST, SCORES
from cellmm.errors import CellMMError
from cellmm.evaluation import CellCocoMetric
from cellmm.io.files import atomic_folder
from cellmm.registry import HOOKS
from cellmm.structures import CellSample


@HOOKS.register_module()
class TrainingReportHook(Hook):
    """Write ``report.html`` into the work dir when training ends or is stopped by Ctrl-C.

    See ``write_training_report``. The validation images that had the highest and the lowest S at the last
    validation are drawn for it into ``best_and_worst``. They are those of CellCocoMetric; without it, as for
    models that give maps and no cells, there are none. With several processes, they are taken from the
    images that the first one predicts.

    Args:
        number: of the best images, and of the worst.
    """

    priority = "LOWEST"

    def __init__(self, number: int = 3) -> None:
        if number < 1:
            raise ValueError(f"number must be 1 or more, got {number}")
        self.number = number
        self._metric: CellCocoMetric | None = None  # of the validation that is under way
        self._scored = 0  # images with a score
        self._extremes: list[tuple[float, int, str, CellSample]] = []  # S, img_id, name and sample, by S
        self._last: dict[str, Any] | None = None  # of the last validation that came to its end

    def before_val_epoch(self, runner: Runner) -> None:
        self._metric, self._scored, self._extremes = None, 0, []
        if runner._train_loop is None or not runner.iter or not is_main_process():
            return
        metrics = runner.val_loop.evaluator.metrics
        self._metric = next((metric for metric in metrics if isinstance(metric, CellCocoMetric)), None)

    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[CellSample] | None = None,
    ) -> None:
        if self._metric is None or not outputs:
            return
        results = self._metric.results[-len(outputs) :]  # it has just scored them
        for sample, result in zip(outputs, results, strict=True):
            score = self._metric.image_score(result)
            if not math.isnan(score):
                self._scored += 1
                self._extremes.append((score, result.img_id, result.name, sample))
        self._extremes.sort(key=lambda found: found[:2])
        del self._extremes[self.number : -self.number]

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        if self._metric is not None:
            most = min(self.number, len(self._extremes) // 2)
            self._last = dict(
                iter=runner.iter,
                score_thr=self._metric.score_thr,
                images=self._scored,
                best=self._extremes[most:][::-1][: self.number],
                worst=self._extremes[:most],
            )
            self._metric, self._extremes = None, []

    def after_train(self, runner: Runner) -> None:
        self.write(runner)

    def write(self, runner: Runner) -> None:
        """Write the report of what was trained so far, if that is anything; CellRunner calls it at Ctrl-C."""
        if not is_main_process() or isinstance(runner._train_loop, dict) or not runner.iter:
            return
        try:
            if self._last is not None and self._last["best"]:
                self._draw(runner, Path(runner.work_dir, BEST_AND_WORST))
            from cellmm.engine.training_report import write_training_report  # matplotlib: not for predict

            path = write_training_report(runner.work_dir)
        except (CellMMError, OSError) as error:
            print_log(
                f"no report of the training: {error}; once that is fixed, `cellmm train --report "
                f"{runner.work_dir}` writes it",
                logger="current",
                level=logging.WARNING,
            )
            return
        print_log(f"{path}: curves, scores and pictures of this training", logger="current")

    def _draw(self, runner: Runner, folder: Path) -> None:
        with atomic_folder(folder) as tmp:
            scores = dict(self._last, best=[], worst=[])
            for kind in ("best", "worst"):
                for rank, (score, _, image, sample) in enumerate(self._last[kind], start=1):
                    picture = f"{kind}_{rank}.png"
                    runner.visualizer.add_datasample(
                        image,
                        sample.img_path,
                        sample,
                        pred_score_thr=self._last["score_thr"],
                        out_file=tmp / picture,
                    )
                    scores[kind].append(dict(image=image, S=score, picture=picture))
            (tmp / SCORES).write_text(json.dumps(scores, indent=1) + "\n", encoding="utf-8")
