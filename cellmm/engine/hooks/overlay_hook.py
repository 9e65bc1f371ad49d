"""Overlays of the test set, written while it is tested."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from cellmm.errors import CellMMError
from cellmm.io.image_folders import name_images
from cellmm.registry import HOOKS
from cellmm.structures import CellSample

# keys of files that the dataset reads
PATHS = ("img_path", "label_path", "class_paths", "mask_paths", "nuclei_path")


@HOOKS.register_module()
class OverlayHook(Hook):
    """Draw ground truth beside prediction for every test image.

    Args:
        out_dir: folder of the PNG files, which are named after the images; see ``name_images``.
        score_thr: predictions with a lower score are not drawn.
    """

    def __init__(self, out_dir: str, score_thr: float = 0.3) -> None:
        self.out_dir, self.score_thr = Path(out_dir), score_thr
        self._pictures: dict[int, str] = {}  # by img_id

    def before_test_epoch(self, runner: Runner) -> None:
        dataset = runner.test_dataloader.dataset
        infos = [dataset.get_data_info(i) for i in range(len(dataset))]
        pictures = name_images([Path(os.path.abspath(_files(info, "img_path")[0])) for info in infos])[1]
        again = Counter(pictures)
        read = {os.path.realpath(file) for info in infos for file in _files(info, *PATHS)}
        for info, picture in zip(infos, pictures, strict=True):
            if again[picture] > 1:  # one file for several images
                picture = f"{picture.removesuffix('.png')}_{info['img_id']}.png"
            if os.path.realpath(self.out_dir / picture) in read:
                raise CellMMError(
                    f"{self.out_dir / picture} belongs to the test set, a picture would replace it: name "
                    "another folder for pictures (--show-dir)"
                )
            self._pictures[info["img_id"]] = picture

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
                out_file=str(self.out_dir / self._pictures[sample.img_id]),
            )


def _files(info: dict, *keys: str) -> list[str]:
    """The files under these keys, if present; each value is a path, a list of paths or of (label, path)."""
    values = [info[key] for key in keys if key in info]
    paths = [path for value in values for path in ([value] if isinstance(value, str) else value)]
    return [path if isinstance(path, str) else path[1] for path in paths]
