"""Pictures of the test set while it is tested."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from cellmm.registry import HOOKS
from cellmm.structures import CellSample


@HOOKS.register_module()
class ShowHook(Hook):
    """Draw ground truth beside prediction for every test image.

    Args:
        out_dir: folder of the PNG files, named after the images.
        score_thr: predictions that score less are not drawn.
    """

    def __init__(self, out_dir: str, score_thr: float = 0.3) -> None:
        self.out_dir, self.score_thr = Path(out_dir), score_thr

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[CellSample] | None = None,
    ) -> None:
        for sample in outputs or ():
            runner.visualizer.add_datasample(
                str(sample.img_id),
                sample.img_path,
                sample,
                pred_score_thr=self.score_thr,
                out_file=str(self.out_dir / f"{sample.img_id}.png"),
            )
