"""Train, test and predict on small simulated scenes, in minutes and without a GPU: the README's main job."""

import argparse
import sys
from pathlib import Path

from mmengine.config import Config

from cellmm.commands.cli import main as cellmm

CONFIG = "configs/diskmask/brightfield_quickstart.py"


def run(work_dir: Path) -> str:
    """Run the three commands and print a summary. Stops with SystemExit if a command fails."""
    cfg = Config.fromfile(CONFIG)
    checkpoint = work_dir / f"iter_{cfg.max_iters}.pth"
    images = Path(cfg.data_root) / "test" / "images"
    for argv in (
        ["train", CONFIG, "--work-dir", str(work_dir)],
        [
            *("test", CONFIG, str(checkpoint)),
            *("--work-dir", str(work_dir), "--show-dir", str(work_dir / "pictures")),
        ],
        [
            *("predict", str(images), "--config", CONFIG),
            *("--checkpoint", str(checkpoint), "--out", str(work_dir / "predictions")),
        ],
    ):
        if status := cellmm(argv):
            raise SystemExit(status)
    metrics = Config.fromfile(work_dir / "metrics.json")
    return f"AP={metrics.AP:.3f} AP50={metrics.AP50:.3f} pictures={work_dir / 'pictures'}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work-dir", type=Path, default=Path("work_dirs/quickstart"))
    print(run(parser.parse_args().work_dir))
    sys.stdout.flush()
