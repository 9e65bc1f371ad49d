"""What a work dir says about its training: config, warnings and pictures."""

import json
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from cellmm.config.load import load_config
from cellmm.engine.training_report.scalars import read_runs
from cellmm.engine.work_dir import BEST_AND_WORST, CONTACT_SHEET, SCORES, VALIDATION_PICTURES
from cellmm.errors import CellMMError

_LINE = re.compile(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d - \S+ - (?P<level>[A-Z]+) - (?P<text>.*)")


@dataclass(frozen=True)
class Training:
    """What is left of a training in its work dir.

    Args:
        rows: what was logged, see ``read_scalars``; empty if nothing was.
        config: None where it cannot be read; ``missing`` says why.
        config_file: the config that the training wrote into its work dir.
        warnings: lines of the log with how often each was given, in order.
        best_and_worst: content of ``best_and_worst/scores.json``: ``iter``, ``images`` (number that have a
            score), ``best`` and ``worst``, each a list of ``image``, ``S`` and ``picture``, a file beside it.
        missing: what could not be read, and why.
    """

    work_dir: Path
    rows: Sequence[dict]
    config: Config | None
    config_file: Path | None
    warnings: dict[str, int]
    contact_sheet: Path | None
    validation_pictures: Sequence[Path]
    best_and_worst: dict[str, Any] | None
    missing: Sequence[str]


def read_training(work_dir: Path) -> Training:
    """Read a work dir. Pictures of an earlier training in the same folder are left out.

    Raises:
        CellMMError: no training wrote into the folder, or what it logged is damaged.
    """
    logs = sorted(path for path in work_dir.glob("*/*.log") if not list(path.parent.glob("*.py")))  # no tests
    if not logs:
        raise CellMMError(f"{work_dir}: no log of a training in it; give the work dir of a training")
    runs = read_runs(work_dir)
    folders = sorted({file.parents[1] for file, _ in runs} | {logs[-1].parent})
    began = _time_of(folders[0])
    missing: list[str] = []
    pictures = [
        path for path in work_dir.glob(f"{VALIDATION_PICTURES}/iter_*") if path.stat().st_mtime >= began
    ]
    pictures.sort(key=lambda path: int(path.name[5:]))
    sheet = work_dir / CONTACT_SHEET
    config, config_file = _read_config(work_dir, missing)
    return Training(
        work_dir=work_dir,
        rows=[row for _, rows in runs for row in rows],
        config=config,
        config_file=config_file,
        warnings=dict(Counter(line for log in logs if log.parent in folders for line in _warnings(log))),
        contact_sheet=sheet if sheet.is_file() and sheet.stat().st_mtime >= began else None,
        validation_pictures=sorted(pictures[-1].glob("*.png")) if pictures else [],
        best_and_worst=_read_scores(work_dir / BEST_AND_WORST / SCORES, began, missing),
        missing=missing,
    )


def _time_of(folder: Path) -> float:
    """When the training with this log folder began, by the name that mmengine gives it."""
    try:
        return time.mktime(time.strptime(folder.name[:15], "%Y%m%d_%H%M%S"))
    except ValueError:
        return 0.0


def _read_config(work_dir: Path, missing: list[str]) -> tuple[Config | None, Path | None]:
    files = sorted(work_dir.glob("*.py"), key=lambda path: path.stat().st_mtime)
    if not files:
        missing.append(f"the settings: {work_dir} holds no config, as a training writes it")
        return None, None
    try:
        return load_config(files[-1]), files[-1]
    except CellMMError as error:
        missing.append(f"the settings: {error}")
        return None, files[-1]


def _warnings(log: Path) -> Iterator[str]:
    """The texts of the warnings and errors in a log, each of which may have several lines."""
    text: str | None = None
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        start = _LINE.fullmatch(line)
        if start is None:
            text = text and f"{text}\n{line}"
            continue
        if text:
            yield text
        is_warning = start["level"] in ("WARNING", "ERROR", "CRITICAL")
        text = start["text"] if is_warning else None
    if text:
        yield text


def _read_scores(path: Path, began: float, missing: list[str]) -> dict[str, Any] | None:
    if not path.is_file() or path.stat().st_mtime < began:
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError):
        missing.append(f"the best and worst images: {path} is damaged")
        return None
