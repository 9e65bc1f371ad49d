"""Install cellmm as a user without a clone does, in an environment of its own, and use it there.

    make wheel-test        # or: python tools/check_wheel.py [--keep FOLDER]

Builds the wheel from the files of this clone, installs it with everything that it needs (about 6 GB, removed
at the end) and runs commands in an empty folder: predict by the name of a model, then train, test and predict
by the name of a config. That of the worms of BBBC010 is trained for two steps where CELLMM_DATA holds them,
else that of the simulated scenes. The exit status is 1 if a command fails or writes nothing.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
SHORT = ["train_cfg.max_iters=2", "train_cfg.val_interval=9", "train_dataloader.num_workers=0"]
SHORT += ["train_dataloader.persistent_workers=False"]
FORMATS = "coco,png,rois,csv,layers,report"
RESULTS = ("cells.json", "cells.csv", "report.html", "overlays", "rois", "layers")


def build_wheel(folder: Path) -> Path:
    """The wheel of the files that git knows or does not ignore; nothing is written into the clone."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.check_output(listed, cwd=ROOT, text=True).split("\0"):
        if name and (ROOT / name).is_file():
            (folder / "clone" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / "clone" / name)
    run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", ".", "./clone"], folder)
    shutil.rmtree(folder / "clone")
    (wheel,) = folder.glob("*.whl")
    return wheel


def install(wheel: Path, folder: Path) -> Path:
    """The command ``cellmm`` of a new environment in ``folder``."""
    run([sys.executable, "-m", "venv", "venv"], folder)
    pip = [str(folder / "venv/bin/python"), "-m", "pip", "install", "-q"]
    run([*pip, str(wheel)], folder)
    run([*pip, "--force-reinstall", "--no-deps", "opencv-python-headless"], folder)
    return folder / "venv/bin/cellmm"


def use(cellmm: Path, folder: Path) -> None:
    """Predict, train and test in ``folder``, which is empty.

    Raises:
        SystemExit: a command fails, or does not write what it should.
    """
    image = np.random.default_rng(0).normal(20, 3, (200, 200))
    y, x = np.mgrid[:200, :200]
    for row, column in ((40, 50), (100, 120), (160, 60)):
        image[(y - row) ** 2 + (x - column) ** 2 < 10**2] += 150
    Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(folder / "nuclei.png")
    run([cellmm, "models"], folder)
    run([cellmm, "predict", "nuclei.png", "--model", "nuclei", "--out", "nuclei", "--save", FORMATS], folder)
    expect(folder / "nuclei")
    data = os.environ.get("CELLMM_DATA")
    worms = data is not None and Path(data, "bbbc010").is_dir()
    name = "diskmask/bbbc010_cpu" if worms else "diskmask/brightfield_quickstart"
    images = (
        Path(data, "bbbc010/images/*_C03_w2_*.tif").resolve()
        if worms
        else "data/brightfield_quickstart/test/images"
    )
    run([cellmm, "train", name, "--work-dir", "work", "--cfg-options", *SHORT], folder)
    two = ["--cfg-options", "test_dataloader.dataset.indices=[0,1]"]
    run([cellmm, "test", name, "work/iter_2.pth", "--work-dir", "work", *two], folder)
    run([cellmm, "predict", str(images), "--model", "work", "--out", "found", "--save", FORMATS], folder)
    expect(folder / "found")
    if not (folder / "work/metrics.json").is_file():
        sys.exit("check_wheel: cellmm test wrote no metrics.json")


def expect(results: Path) -> None:
    if missing := [name for name in RESULTS if not (results / name).exists()]:
        sys.exit(f"check_wheel: cellmm predict did not write {', '.join(missing)}")


def run(command: Sequence[str | Path], folder: Path) -> None:
    """Run a command as a new user would, without the variables by which Python finds this clone."""
    print("$", *command, flush=True)
    env = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    if subprocess.run(command, cwd=folder, env=env).returncode:
        sys.exit(f"check_wheel: {' '.join(map(str, command))} failed")


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--keep", type=Path, help="work in this folder, which must be new, and leave it there"
    )
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.keep.resolve() if args.keep else Path(temporary)
        (folder / "empty").mkdir(parents=True)
        cellmm = install(build_wheel(folder), folder)
        use(cellmm, folder / "empty")
    print("check_wheel: an installation without a clone predicts, trains and tests")


if __name__ == "__main__":
    main()
