"""The same few validation images at each validation: annotation beside prediction."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dist import get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from cellmm.engine.work_dir import TRANSLATED, VALIDATION_PICTURES
from cellmm.registry import HOOKS
from cellmm.structures import CellSample
from cellmm.visualization import save_picture
from cellmm.visualization.translations import draw_translations


@HOOKS.register_module()
class ValidationPicturesHook(Hook):
    """Write ``validation_pictures/iter_<N>/<image>_<img_id>.png`` into the work dir at each validation.

    The images are spread over the validation set and are the same each time. Of a model that translates
    images, all of them are in one picture, ``iter_<N>/translated.png``; see ``draw_translations``.

    Args:
        number: of images.
        score_thr: predictions with a lower score are not drawn.
    """

    def __init__(self, number: int = 4, score_thr: float = 0.3) -> None:
        if number < 1:
            raise ValueError(f"number must be 1 or more, got {number}")
        self.number, self.score_thr = number, score_thr
        self._picked: set[int] = set()  # img_id
        self._translated: list[CellSample] = []

    def before_val_epoch(self, runner: Runner) -> None:
        self._picked, self._translated = set(), []
        if runner._train_loop is None or not runner.iter:  # no training, or the trial before it
            return
        dataset = runner.val_loop.dataloader.dataset
        places = range(0, len(dataset), get_world_size())  # those that the first rank predicts
        picked = np.linspace(0, len(places) - 1, min(self.number, len(places))).round().astype(int)
        self._picked = {dataset.get_data_info(places[i])["img_id"] for i in picked}

    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[CellSample] | None = None,
    ) -> None:
        for sample in outputs or () if self._picked else ():
            if not isinstance(sample, CellSample) or sample.img_id not in self._picked:
                continue
            if "pred_image" in sample:
                self._translated.append(sample)
                continue
            path = sample.img_path if isinstance(sample.img_path, str) else sample.img_path[0]
            name = f"{Path(path).stem}_{sample.img_id}.png"
            runner.visualizer.add_datasample(
                str(sample.img_id),
                sample.img_path,
                sample,
                pred_score_thr=self.score_thr,
                out_file=_folder(runner) / name,
            )

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        if self._translated and is_main_process():
            save_picture(_folder(runner) / f"{TRANSLATED}.png", draw_translations(self._translated))
        self._translated = []


def _folder(runner: Runner) -> Path:
    return Path(runner.work_dir, VALIDATION_PICTURES, f"iter_{runner.iter}")
