"""Draw the training curves of one or more runs: losses above, scores of the validation below."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from cellmm.engine.training_report.curves import draw_losses, draw_scores
from cellmm.engine.training_report.scalars import METRICS, read_scalars
from cellmm.errors import CellMMError
from cellmm.io.files import atomic_path


def plot(work_dirs: Sequence[Path], out: Path, metrics: Sequence[str] = METRICS) -> None:
    """A colour per key and a line style per run; of several runs only the total loss is drawn.

    Raises:
        CellMMError: a folder is not a work dir of a training.
    """
    runs = {_name(work_dir, work_dirs): read_scalars(work_dir) for work_dir in work_dirs}
    figure = Figure(figsize=(8, 8))
    top, bottom = figure.subplots(2, 1, sharex=True)
    draw_losses(top, runs)
    draw_scores(bottom, runs, metrics)
    figure.tight_layout()
    with atomic_path(out) as tmp:
        figure.savefig(tmp, dpi=120)


def _name(work_dir: Path, work_dirs: Sequence[Path]) -> str:
    """Its last part, or all of it where several end alike."""
    names = [path.resolve().name for path in work_dirs]
    return str(work_dir) if names.count(work_dir.resolve().name) > 1 else work_dir.resolve().name


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
