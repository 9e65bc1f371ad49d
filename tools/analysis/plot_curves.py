"""Draw the training curves of one or more runs: losses above, scores of the validation below."""

import argparse
import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402

SCORES = ("AP", "AP50", "AP75", "AP90", "S")


def read_scalars(work_dir: Path) -> list[dict]:
    """The lines of the run's scalars.json files, oldest first; several are a run that was resumed."""
    files = sorted(work_dir.glob("*/vis_data/scalars.json"))
    if not files:
        raise FileNotFoundError(f"{work_dir}: no */vis_data/scalars.json; is it the work dir of a training?")
    return [json.loads(line) for file in files for line in file.read_text().splitlines() if line]


def curve(rows: list[dict], key: str) -> tuple[list[float], list[float]]:
    """Steps and values of one key; where a step was run again after a resume, the later value counts."""
    values = {row.get("step", row.get("iter")): row[key] for row in rows if key in row}
    return sorted(values), [values[step] for step in sorted(values)]


def plot(work_dirs: list[Path], out: Path) -> None:
    """One line a run and key."""
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(8, 8), sharex=True)
    for work_dir in work_dirs:
        rows = read_scalars(work_dir)
        training = [row for row in rows if "loss" in row]
        for key in ("loss", "loss_dice", "loss_bce", "loss_cls"):
            top.plot(*curve(training, key), label=f"{work_dir.name} {key}", alpha=0.8)
        for key in SCORES:
            bottom.plot(
                *curve([row for row in rows if "AP" in row], key), marker="o", label=f"{work_dir.name} {key}"
            )
    top.set(ylabel="loss", yscale="log")
    bottom.set(xlabel="iteration", ylabel="score", ylim=(0, 1))
    for axes in (top, bottom):
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(out, dpi=120)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work_dirs", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, default=Path("curves.png"))
    args = parser.parse_args()
    try:
        plot(args.work_dirs, args.out)
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return 1
    print(args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
