"""Kill trainings at random moments, resume them, and compare the weights bit by bit with one left alone.

    python tools/benchmarks/kill_and_resume.py --kills 50 --workers 0 2

A tiny SparseSEUNet with everything that has a state in a training: augmentation, dropout, averaged weights,
validation, early stopping, accumulated gradients, float16 with its loss scale. Some kills come while a
checkpoint is being written; some cut the newest checkpoint in two as a power failure may. ``--ranks 2``
trains on two processes:

    python tools/benchmarks/kill_and_resume.py --kills 20 --workers 0 --ranks 2 --jobs 1
"""

import argparse
import contextlib
import gc
import hashlib
import json
import multiprocessing
import os
import random
import shutil
import socket
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor, nn

import cellmm.io.files
from cellmm.commands.train import main as train
from cellmm.models.encoders import SEUNetEncoder
from cellmm.registry import MODELS
from cellmm.simulation import make_dataset

ROOT = Path(__file__).resolve().parents[2]
MAX_ITERS, INTERVAL = 12, 2
# added to CONFIG by --by-epoch: 4 epochs of 3 iterations
EPOCHS = """
train_cfg = dict(_delete_=True, type="EpochBasedTrainLoop", max_epochs=4, val_interval=2)
optim_wrapper["accumulative_counts"] = 1
default_hooks["checkpoint"].update(by_epoch=True, interval=1)
param_scheduler += [dict(type="MultiStepLR", by_epoch=True, milestones=[1, 3], gamma=0.5)]
"""
PRELOAD = (
    "torch._dynamo",
    "torchvision",
    "cellmm.commands.train",
    "cellmm.datasets.transforms",
    "cellmm.engine",
    "cellmm.evaluation",
    "cellmm.models",
    "cellmm.visualization",
)
CONFIG = """
_base_ = ["{root}/configs/sparseseunet/brightfield_quickstart.py"]
data_root = "{data}"
loader = dict(num_workers={workers}, persistent_workers={workers} > 0, dataset=dict(data_root=data_root))
train_dataloader = dict(batch_size=2, **loader)
val_dataloader = loader
test_dataloader = loader
model = dict(
    encoder=dict(type="DropoutEncoder", widths=(4, 4, 4)),
    decoder=dict(widths=(4, 4)),
    heads=dict(
        instances=dict(
            num_queries=16,
            feature_dim=8,
            instance_branch=dict(channels=4, depth=1),
            mask_branch=dict(channels=4, depth=1, mask_dim=4),
            test_cfg=dict(score_thr=0.0),
        )
    ),
)
optim_wrapper = dict(type="AmpOptimWrapper", dtype="float16", accumulative_counts=2)
param_scheduler = [dict(type="CosineAnnealingLR", eta_min=1e-5, by_epoch=False, begin=0, end={max_iters})]
train_cfg = dict(max_iters={max_iters}, val_interval=6)
default_hooks = dict(
    checkpoint=dict(interval={interval}, max_keep_ckpts=2, save_best="AP", rule="greater"),
    logger=dict(interval=1),
)
custom_hooks = [
    dict(type="EMAHook", ema_type="ExponentialMovingAverage", momentum=0.01, update_buffers=True),
    dict(type="EarlyStoppingHook", monitor="AP", rule="greater", patience=50),
]
"""


@MODELS.register_module(force=True)
class DropoutEncoder(SEUNetEncoder):
    """SEUNetEncoder that drops a third of its coarsest features."""

    def forward(self, x: Tensor) -> list[Tensor]:
        *fine, coarse = super().forward(x)
        return [*fine, nn.functional.dropout(coarse, 0.3, self.training)]


def run_training(folder: Path, resume: bool, slow_files: bool, environment: dict[str, str]) -> None:
    """The work of a training process; ``slow_files`` gives time to kill it while it writes."""
    os.environ.update(environment)
    torch.set_num_threads(1)
    gc.freeze()  # mmengine collects garbage for each data set
    log = os.open(folder / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    if slow_files:
        fsync = os.fsync
        cellmm.io.files.os.fsync = lambda handle: (time.sleep(0.3), fsync(handle))
    argv = [str(folder / "config.py"), "--work-dir", str(folder / "work")]
    argv += ["--launcher", "pytorch"] if environment else []
    train(argv + (["--resume"] if resume else []))


def forkserver() -> multiprocessing.context.ForkServerContext:
    """Processes that start at once: the libraries are loaded once, and then only forked."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*PRELOAD])
    return context


def load_libraries() -> None:
    process = forkserver().Process(target=int)
    process.start()
    process.join()


class Training:
    """The processes of one training, one per rank."""

    def __init__(self, folder: Path, ranks: int, resume: bool = False, slow_files: bool = False) -> None:
        self.processes = []
        with contextlib.closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        for rank in range(ranks):
            environment = dict(
                RANK=str(rank),
                LOCAL_RANK=str(rank),
                WORLD_SIZE=str(ranks),
                MASTER_ADDR="127.0.0.1",
                MASTER_PORT=port,
            )
            args = (folder, resume, slow_files, environment if ranks > 1 else {})
            self.processes.append(forkserver().Process(target=run_training, args=args))
            self.processes[-1].start()

    def alive(self) -> bool:
        return all(process.is_alive() for process in self.processes)

    def kill(self) -> None:
        for process in self.processes:
            process.kill()
        self.wait()

    def wait(self) -> bool:
        for process in self.processes:
            process.join()
        return all(process.exitcode == 0 for process in self.processes)


def digest(folder: Path) -> str:
    """A hash over all tensors and numbers of the last checkpoint but times and paths."""
    last = max((folder / "work").glob("[ei]*_*.pth"), key=lambda path: int(path.stem.split("_")[1]))
    state = torch.load(last, weights_only=True)
    if state["meta"]["iter"] != MAX_ITERS:
        raise SystemExit(f"{last} is not the end of the training")
    hashed = hashlib.sha256()

    def add(value: object) -> None:
        if isinstance(value, dict):
            for key in sorted(value, key=str):
                hashed.update(str(key).encode())
                add(value[key])
        elif isinstance(value, list | tuple):
            for part in value:
                add(part)
        else:
            hashed.update(value.numpy().tobytes() if isinstance(value, Tensor) else str(value).encode())

    names = ("state_dict", "ema_state_dict", "optimizer", "param_schedulers", "early_stopping", "num_skips")
    add({name: state[name] for name in names})
    best = Path(state["message_hub"]["runtime_info"]["best_ckpt"])
    add([best.name, sorted(path.name for path in (folder / "work").glob("*.pth"))])
    add(state["message_hub"]["log_scalars"]["train/loss"])
    return hashed.hexdigest()


def prepare(folder: Path, data: Path, workers: int, more: str = "") -> Path:
    folder.mkdir()
    text = CONFIG.format(root=ROOT, data=data, workers=workers, max_iters=MAX_ITERS, interval=INTERVAL)
    (folder / "config.py").write_text(text + more)
    return folder


def kill_once(folder: Path, ranks: int, how: str, seconds: float, rng: random.Random) -> str | None:
    """Start, kill in the way ``how``, resume; the digest, or None where training ended before the kill."""
    training = Training(folder, ranks, slow_files=how == "writing")
    if how == "writing":
        nth, seen = rng.randint(1, 4), set()
        while training.alive() and len(seen) < nth:
            seen |= set((folder / "work").glob(".[ei]*_*.pth"))
    else:
        time.sleep(rng.uniform(0.1, 0.95) * seconds)
    ended = not training.alive()
    training.kill()
    if ended:
        return None
    paths = sorted((folder / "work").glob("[ei]*_*.pth"), key=lambda path: path.stat().st_mtime)
    if how == "cut":
        if len(paths) < 2:
            return None
        paths[-1].write_bytes(paths[-1].read_bytes()[: rng.randint(0, paths[-1].stat().st_size - 1)])
    if not Training(folder, ranks, resume=True).wait():
        raise SystemExit(f"the resumed training failed, see {folder / 'log.txt'}")
    if how == "cut" and "the one before is tried" not in (folder / "log.txt").read_text():
        raise SystemExit(f"nothing was said of a checkpoint that was cut off, see {folder / 'log.txt'}")
    return digest(folder)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50, help="for each number of workers")
    parser.add_argument(
        "--writing", type=int, default=2, help="how many of them while a checkpoint is written"
    )
    parser.add_argument(
        "--cut", type=int, default=1, help="how many of them with the newest checkpoint cut off"
    )
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 2])
    parser.add_argument("--ranks", type=int, default=1)
    parser.add_argument("--by-epoch", action="store_true", help="train by epochs, with checkpoints of these")
    parser.add_argument("--jobs", type=int, default=2, help="trainings at the same time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="leave the trainings in this new folder")
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    top = args.keep or Path(tempfile.mkdtemp(prefix="kill_and_resume_"))
    data = top / "data"
    scene = dict(size=(64, 64), pixel=0.5, cells=(2, 4), min_visible=20)
    make_dataset(data, splits=dict(train=5, val=2, test=1), scene=scene, seed=0)
    load_libraries()
    more = EPOCHS if args.by_epoch else ""
    digests: dict[int, str] = {}
    results: list[bool] = []
    for workers in args.workers:
        folder = prepare(top / f"alone_{workers}", data, workers, more)
        start = time.perf_counter()
        if not Training(folder, args.ranks).wait():
            raise SystemExit(f"the training failed, see {folder / 'log.txt'}")
        seconds = time.perf_counter() - start
        digests[workers] = digest(folder)
        sys.stdout.write(f"{workers} workers: {seconds:.1f} s, {digests[workers][:12]}\n")
        kinds = ["writing"] * args.writing + ["cut"] * args.cut
        kinds += ["any moment"] * (args.kills - len(kinds))

        def trial(number: int, how: str, workers: int = workers, seconds: float = seconds) -> bool:
            rng = random.Random(f"{args.seed} {workers} {number}")
            while True:
                folder = prepare(top / f"killed_{workers}_{number}", data, workers, more)
                found = kill_once(folder, args.ranks, how, seconds, rng)
                if found in (None, digests[workers]):
                    shutil.rmtree(folder)
                if found is not None:
                    break
            is_same = found == digests[workers]
            sys.stdout.write(f"{how}: {'the same' if is_same else f'DIFFERENT, see {folder}'}\n")
            return is_same

        with ThreadPoolExecutor(args.jobs) as pool:
            results += pool.map(trial, range(len(kinds)), kinds)
    sys.stdout.write(
        json.dumps(dict(killed=len(results), same=sum(results), digests=len(set(digests.values())))) + "\n"
    )
    if args.keep is None and all(results):
        shutil.rmtree(top)
    return 0 if all(results) and len(set(digests.values())) == 1 else 1


if __name__ == "__main__":
    sys.exit(main())
