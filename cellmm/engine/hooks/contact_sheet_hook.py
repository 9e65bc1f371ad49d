"""A picture of what the model will see, before the first step."""

import logging
from itertools import islice
from pathlib import Path

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner

from cellmm import randomness
from cellmm.engine.work_dir import CONTACT_SHEET
from cellmm.registry import HOOKS
from cellmm.structures import CellSample
from cellmm.visualization import save_picture
from cellmm.visualization.contact_sheet import draw_contact_sheet


@HOOKS.register_module()
class ContactSheetHook(Hook):
    """Write ``contact_sheet.png`` into the work dir before the first step: the first samples of training.

    The samples are augmented as in training and stand beside their targets. The training draws what it would
    draw without the sheet. A training that is resumed keeps the sheet that it began with.

    Args:
        number: of samples.
    """

    priority = "LOW"

    def __init__(self, number: int = 6) -> None:
        if number < 1:
            raise ValueError(f"number must be 1 or more, got {number}")
        self.number = number

    def before_train(self, runner: Runner) -> None:
        path = Path(runner.work_dir, CONTACT_SHEET)
        if not is_main_process() or (runner.iter and path.is_file()):
            return
        loader = runner.train_loop.dataloader
        with randomness.preserve_rng():
            draws = list(islice(iter(loader.sampler), min(self.number, len(loader.dataset))))
            items = [loader.dataset[draw] for draw in draws]
        if not all(isinstance(item.get("data_samples"), CellSample) for item in items):
            print_log("no contact sheet: the pipeline does not end with PackCellInputs", logger="current")
            return
        classes = getattr(loader.dataset, "metainfo", {}).get("classes", ())
        try:
            save_picture(path, draw_contact_sheet(items, classes))
        except ValueError as error:
            print_log(f"{path}: not drawn: {error}", logger="current", level=logging.WARNING)
            return
        print_log(f"{path}: {len(items)} training samples as the model will see them", logger="current")
