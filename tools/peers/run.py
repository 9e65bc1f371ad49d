"""Train a peer from scratch on the images of a config, and predict its test images.

    python tools/peers/run.py cellpose3 CONFIG --out peers/cellpose3 --minutes 40 --cores 1 --seed 0

makes an environment of the peer below --envs (once), exports the images and says what the format drops,
trains for the minutes on the cores, and writes results that `cellmm compare` reads. See README.md.
"""

import argparse
import ast
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import export

from cellmm.errors import CellMMError

HERE = Path(__file__).resolve().parent
PEERS = ("cellpose3", "stardist2d", "yolo11", "instanseg2d")
RESULTS = {"yolo11": "results"}  # else results.json
NICE = 10  # added to that of this program


def requirements(peer: str) -> list[str]:
    """The REQUIREMENTS of the peer's program, which is read and not run."""
    for node in ast.parse((HERE / f"{peer}.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "REQUIREMENTS":
            return ast.literal_eval(node.value)
    raise CellMMError(f"{HERE / peer}.py: no REQUIREMENTS")


def environment(peer: str, envs: Path) -> Path:
    """The python of the peer's environment, made if it is absent.

    Raises:
        CellMMError: something cannot be installed; nothing is left, so that the next call tries again.
    """
    folder = envs / peer
    python = folder / "bin/python"
    if (folder / "complete").is_file():
        return python
    pins = requirements(peer)
    print(f"{folder}: installing {', '.join(pins)}", flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    done = subprocess.run([str(python), "-m", "pip", "install", "-q", *pins], check=False)
    if done.returncode:
        raise CellMMError(f"{peer}: pip could not install {', '.join(pins)} into {folder}, see above")
    (folder / "complete").touch()
    return python


def run(python: Path, peer: str, data: Path, out: Path, args: argparse.Namespace) -> None:
    """Train and predict in the peer's environment, on the given cores."""
    count = str(len(args.cores))
    limited = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), count)
    own = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    command = [str(python), str(HERE / f"{peer}.py"), str(data), str(out)]
    command += ["--minutes", str(args.minutes), "--seed", str(args.seed)]

    def prepare() -> None:
        os.nice(NICE)
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, args.cores)

    start = time.monotonic()
    done = subprocess.run(
        command, env=own | limited | {"CUDA_VISIBLE_DEVICES": ""}, preexec_fn=prepare, check=False
    )
    if done.returncode:
        raise CellMMError(f"{peer}: its program ended with status {done.returncode}, see above")
    print(f"{peer}: {(time.monotonic() - start) / 60:.1f} minutes with loading and prediction")


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("config", help="a config of cellmm: its training and test images are taken")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--envs", type=Path, default=Path("peers/envs"), help="default %(default)s")
    parser.add_argument("--minutes", type=float, default=40, help="of training; default %(default)s")
    parser.add_argument("--cores", type=int, nargs="+", default=[0], help="their numbers; default 0")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    if args.minutes <= 0:
        parser.error(f"--minutes is {args.minutes:g}: more than 0 is needed")
    return args


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    try:
        data = args.out / "data"
        print(export.describe(export.export(args.config, data)), flush=True)
        python = environment(args.peer, args.envs.absolute())
        run(python, args.peer, data.absolute(), args.out.absolute(), args)
    except CellMMError as error:
        print(f"run: {error}", file=sys.stderr)
        return 1
    results = args.out / RESULTS.get(args.peer, "results.json")
    print(f"cellmm compare --truth {args.config} {args.peer}={results}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
