"""Fine-tuning from the widget: the command `cellmm train` in a process of its own."""

import contextlib
import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from cellmm.commands import train
from cellmm.errors import CellMMError


def command(folder: str | Path, model: str, minutes: float, work_dir: str | Path) -> list[str]:
    """`cellmm train FOLDER --from MODEL --minutes N --work-dir DIR`, as the words of a process.

    Raises:
        CellMMError: this cellmm trains from configs only.
    """
    words = [str(folder), "--from", str(model), "--minutes", f"{minutes:g}", "--work-dir", str(work_dir)]
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            train.parse_args(words)
    except SystemExit:
        raise CellMMError(
            "this version of `cellmm train` has no --from and --minutes: save the data, train with a config"
        ) from None
    return [sys.executable, "-m", "cellmm.commands.cli", "train", *words]


class FineTuning:
    """A training that runs; ``stop`` ends it."""

    def __init__(self, words: list[str]) -> None:
        self._process = subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        )

    def lines(self) -> Iterator[str]:
        """What it prints, line by line, until it ends.

        Raises:
            CellMMError: it ended with an error; with its last line.
        """
        last = ""
        for line in self._process.stdout:
            if line.strip():
                last = line.strip()
                yield last
        if status := self._process.wait():
            raise CellMMError(f"the training ended with status {status}: {last}")

    def stop(self) -> None:
        """End it, as Ctrl-C does; the checkpoints that were written stay."""
        self._process.terminate()
