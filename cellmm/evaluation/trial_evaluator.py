"""Scores that are looked at and not kept."""

import contextlib
import copy
import tempfile
from collections.abc import Iterator
from pathlib import Path

from mmengine.evaluator import Evaluator


@contextlib.contextmanager
def trial_evaluator(evaluator: Evaluator) -> Iterator[Evaluator]:
    """A copy of ``evaluator`` whose files go to a folder that is removed at the end of the block."""
    trial = copy.deepcopy(evaluator)
    with tempfile.TemporaryDirectory() as folder:
        for i, metric in enumerate(trial.metrics):
            for name in ("outfile_prefix", "out_file_path", "out_dir"):
                if own := getattr(metric, name, None):
                    setattr(metric, name, str(Path(folder, f"{i}{Path(own).suffix}")))
        yield trial
