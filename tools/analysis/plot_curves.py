"""Draw the training curves of one or more runs: losses above, scores of the validation below."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402

from cellmm.errors import CellMMError  # noqa: E402
from cellmm.io.files import atomic_path  # noqa: E402

METRICS = ("AP", "AP50", "AP75", "AP90", "S")
STYLES = ("-", "--", "-.", ":")


def read_scalars(work_dir: Path) -> list[dict]:
    """What a run logged, one dict per line, in the order of its steps.

    Every start of a run has its own ``*/vis_data/scalars.json``. Where a later one begins before the end of
    an earlier one, as after resuming from a checkpoint, the later one counts. A last line that was cut off,
    as in a run that was killed, is left out.

    Raises:
        CellMMError: the file is absent or does not hold lines of json.
    """
    files = sorted(work_dir.glob("*/vis_data/scalars.json"))
    if not files:
        raise CellMMError(f"{work_dir}: no */vis_data/scalars.json; give the work dir of a training")
    rows: list[dict] = []
    for file in files:
        lines = file.read_text(encoding="utf-8").splitlines()
        new = []
        for number, line in enumerate(lines, start=1):
            try:
                new.append(json.loads(line))
            except json.JSONDecodeError as error:
                if number < len(lines):
                    raise CellMMError(f"{file}: line {number} is not json, the file is damaged") from error
        if new:
            start = min(row["step"] for row in new)
            rows = [row for row in rows if row["step"] < start] + new
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


def plot(work_dirs: Sequence[Path], out: Path, metrics: Sequence[str] = METRICS) -> None:
    """A colour per key and a line style per run; of several runs only the total loss is drawn.

    Raises:
        CellMMError: a folder is not a work dir of a training.
    """
    runs = {work_dir: read_scalars(work_dir) for work_dir in work_dirs}
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(8, 8), sharex=True)
    for (work_dir, rows), style in zip(runs.items(), STYLES * len(runs), strict=False):
        name = f"{work_dir.resolve().name} " if len(runs) > 1 else ""
        for key in loss_keys(rows) if len(runs) == 1 else ["loss"]:
            width = 2 if key == "loss" else 1
            top.plot(*curve(rows, key), style if len(runs) > 1 else "-", label=name + key, linewidth=width)
        for i, key in enumerate(key for key in metrics if curve(rows, key)[0]):
            steps, values = curve(rows, key)
            label = f"{name}{key} {values[-1]:.3f}"
            bottom.plot(steps, values, style, color=f"C{i}", marker="o", markersize=4, label=label)
    top.set(ylabel="loss", yscale="log")
    bottom.set(xlabel="iteration", ylabel="score (legend: the last)", ylim=(0, 1))
    for axes in (top, bottom):
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend(fontsize=8, ncols=2)
    figure.tight_layout()
    with atomic_path(out) as tmp:
        figure.savefig(tmp, dpi=120)
    plt.close(figure)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work_dirs", nargs="+", type=Path, metavar="WORK_DIR")
    parser.add_argument("--out", type=Path, default=Path("curves.png"), help="PNG, PDF or SVG")
    parser.add_argument("--metrics", nargs="+", default=METRICS, help=f"default: {' '.join(METRICS)}")
    args = parser.parse_args(argv)
    try:
        plot(args.work_dirs, args.out, args.metrics)
    except CellMMError as error:
        print(f"plot_curves: {error}", file=sys.stderr)
        return 1
    print(args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
