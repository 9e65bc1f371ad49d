"""Fine-tuning from the widget: the command `cellmm train` in a process of its own."""

import contextlib
import io
import itertools
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


def work_dir_for(folder: str | Path) -> Path:
    """A folder that is not there yet, beside that of the data: ``mine_fine_tuned``, or with a number."""
    folder = Path(folder).resolve()
    names = (f"{folder.name}_fine_tuned{'' if n == 1 else f'_{n}'}" for n in itertools.count(1))
    return next(path for name in names if not (path := folder.with_name(name)).exists())


class FineTuning:
    """A training that runs; ``stop`` ends it."""

    def __init__(self, words: list[str]) -> None:
        self._stopped = False
        self._process = subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        )

    def lines(self) -> Iterator[str]:
        """What it prints, line by line, until it ends.

        Raises:
            CellMMError: it was stopped, or ended with an error; with its last line.
        """
        last = ""
        for line in self._process.stdout:
            if line.strip():
                last = line.strip()
                yield last
        status = self._process.wait()
        if self._stopped:
            raise CellMMError("the training was stopped; what it had saved stays")
        if status:
            raise CellMMError(f"the training ended with status {status}: {last}")

    def stop(self) -> None:
        """End it; the checkpoints that were written stay."""
        self._stopped = True
        self._process.terminate()
