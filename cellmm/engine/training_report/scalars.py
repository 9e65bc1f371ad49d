"""The numbers that a training logged."""

import json
from collections.abc import Sequence
from pathlib import Path

from cellmm.errors import CellMMError

METRICS = ("AP", "AP50", "AP75", "AP90", "S", "train/AP")  # that are drawn, where a validation gives them
NO_METRIC = ("step", "time", "data_time")  # what a row of a validation holds besides


def read_runs(work_dir: Path) -> list[tuple[Path, list[dict]]]:
    """Each start of a training: its file, and one dict for each line of it that counts.

    Every start has its own ``*/vis_data/scalars.json``. Where a later one begins before the end of an
    earlier one, as after resuming from a checkpoint, the later one counts; a start whose lines are all
    replaced is left out. A last line that was cut off, as in a training that was killed, is left out. The
    ``step`` of a row counts iterations, also where a training counts epochs: a validation then has that of
    the training row before it.

    Raises:
        CellMMError: a file does not hold lines of json.
    """
    runs: list[tuple[Path, list[dict]]] = []
    for file in sorted(work_dir.glob("*/vis_data/scalars.json")):
        new = _read(file)
        if not new:
            continue
        start = min((row["step"] for row in new if "iter" in row), default=new[0]["step"])
        kept = [(name, [row for row in rows if row["step"] < start]) for name, rows in runs]
        runs = [(name, rows) for name, rows in kept if rows] + [(file, new)]
    return runs


def _read(file: Path) -> list[dict]:
    lines = file.read_text(encoding="utf-8").splitlines()
    rows, done = [], 0
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            if number < len(lines):
                raise CellMMError(f"{file}: line {number} is not json, the file is damaged") from error
            continue
        done = row.get("iter", done)
        rows.append(row | dict(step=max(row["step"], done)))
    return rows


def read_scalars(work_dir: Path) -> list[dict]:
    """What a training logged, one dict per line, in the order of its steps; see ``read_runs``.

    Raises:
        CellMMError: the file is absent, empty or does not hold lines of json.
    """
    files = sorted(work_dir.glob("*/vis_data/scalars.json"))
    if not files:
        raise CellMMError(f"{work_dir}: no */vis_data/scalars.json; give the work dir of a training")
    rows = [row for _, rows in read_runs(work_dir) for row in rows]
    if not rows:
        raise CellMMError(f"{work_dir}: nothing is logged yet in {files[-1]}")
    return rows


def curve(rows: Sequence[dict], key: str) -> tuple[list[int], list[float]]:
    """Steps and values of one key."""
    points = [(row["step"], row[key]) for row in rows if key in row]
    return [step for step, _ in points], [value for _, value in points]


def loss_keys(rows: Sequence[dict]) -> list[str]:
    """'loss' and its summands, without those of intermediate stages (loss_dice_0)."""
    keys = dict.fromkeys(key for row in rows for key in row)
    return [key for key in keys if "loss" in key and not key.rsplit("_", 1)[-1].isdigit()]


def validations(rows: Sequence[dict]) -> list[dict]:
    """The rows that hold the metrics of a validation."""
    return [row for row in rows if "iter" not in row]


def metric_keys(rows: Sequence[dict]) -> list[str]:
    """The metrics of the validations: METRICS first, then the others as they come."""
    keys = dict.fromkeys(key for row in validations(rows) for key in row if key not in NO_METRIC)
    return [key for key in METRICS if key in keys] + [key for key in keys if key not in METRICS]
