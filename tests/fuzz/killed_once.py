"""A step of a pipeline that kills a worker once."""

import multiprocessing
import os
import signal
from pathlib import Path

from cellmm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class KilledOnce:
    """SIGKILL the process, or its whole group, if ``file`` says so; the process of the tests goes on.

    Args:
        file: holds ``process`` or ``group``, and is removed before.
    """

    def __init__(self, file: str) -> None:
        self.file = Path(file)

    def __call__(self, results: dict) -> dict:
        if multiprocessing.parent_process() is not None and self.file.exists():
            what = self.file.read_text()
            self.file.unlink()
            if what == "group":
                os.killpg(os.getpgid(0), signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)
        return results
