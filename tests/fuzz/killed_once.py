"""A step of a pipeline that kills a worker once."""

import multiprocessing
import os
import signal
from pathlib import Path

from cellmm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class KilledOnce:
    """SIGKILL the process if ``file`` exists, and remove that file; the process of the tests goes on."""

    def __init__(self, file: str) -> None:
        self.file = Path(file)

    def __call__(self, results: dict) -> dict:
        if multiprocessing.parent_process() is not None and self.file.exists():
            self.file.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        return results
