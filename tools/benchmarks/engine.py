"""The cost of the Runner over a bare PyTorch loop; whether a long run stays as fast and small as it began.

    python tools/benchmarks/engine.py overhead
    python tools/benchmarks/engine.py long --iterations 20000

``overhead``: the same model, optimizer and data, in alternating blocks of iterations, with the Runner (all
hooks of the configs, and a log line every 20 iterations) and without; the width
is chosen so that a step takes about 50 ms. ``long``: the time of a step and the memory of the process in each
twentieth of one training.
"""

import argparse
import json
import os
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

from cellmm.config.load import load_config
from cellmm.engine.runner import build_runner
from cellmm.registry import HOOKS
from cellmm.simulation import make_dataset

ROOT = Path(__file__).resolve().parents[2]


def tiny_config(folder: Path, iterations: int, size: int, width: int) -> Config:
    """SparseSEUNet on images of ``size`` pixels; float32, no validation, a checkpoint at the end."""
    cfg = load_config(ROOT / "configs" / "sparseseunet" / "brightfield_quickstart.py")
    scene = dict(size=(size, size), pixel=0.5, cells=(2, 6), min_visible=20)
    make_dataset(folder / "data", splits=dict(train=16, val=1, test=1), scene=scene, seed=0)
    cfg.work_dir = str(folder / "work")
    cfg.train_dataloader.update(batch_size=2, num_workers=0, persistent_workers=False)
    cfg.train_dataloader.dataset.data_root = str(folder / "data")
    cfg.model.update(
        encoder=dict(type="SEUNetEncoder", widths=(width, 2 * width, 4 * width), stem_stride=2),
        decoder=dict(type="SEUNetDecoder", widths=(width, 2 * width)),
    )
    head = cfg.model.heads.instances
    head.update(num_queries=16, feature_dim=32)
    head.instance_branch.channels = head.mask_branch.channels = width
    head.mask_branch.mask_dim = 16
    cfg.optim_wrapper.update(type="OptimWrapper")
    cfg.optim_wrapper.pop("dtype")
    cfg.train_cfg.update(max_iters=iterations)
    for key in ("val_cfg", "val_dataloader", "val_evaluator"):
        cfg.pop(key)
    cfg.default_hooks.checkpoint.interval = iterations
    cfg.log_level = "WARNING"
    cfg.randomness = dict(seed=0)
    return cfg


@HOOKS.register_module()
class StepTimes(Hook):
    """When each iteration ended, and the memory of the process then, in MiB."""

    priority = "LOWEST"

    def __init__(self) -> None:
        self.times: list[float] = []
        self.memory: list[float] = []

    def after_train_iter(self, runner: Runner, *args, **kwargs) -> None:
        self.times.append(time.perf_counter())
        if len(self.times) % 100 == 0:
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            self.memory.append(pages * resource.getpagesize() / 2**20)


def bare_steps(runner: Runner, batches, number: int) -> float:
    """Seconds per step of a loop without Runner and hooks: forward, backward, clip, step."""
    model, optimizer = runner.model, runner.optim_wrapper.optimizer
    model.train()
    start = time.perf_counter()
    for _ in range(number):
        data = model.data_preprocessor(next(batches), training=True)
        loss = sum(model(**data, mode="loss").values())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        loss.item()
    return (time.perf_counter() - start) / number


def measure_overhead(folder: Path, rounds: int, block: int) -> dict:
    """Blocks of bare steps between blocks of the Runner's: a change of the machine's pace hits both."""
    cfg = tiny_config(folder, iterations=(rounds + 1) * block, size=128, width=12)
    runner = build_runner(cfg)
    ratios, bare, with_runner = [], [], []
    batches = None

    class Alternate(Hook):
        priority = "LOWEST"
        start = 0.0

        def after_train_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=None) -> None:
            nonlocal batches
            batches = batches or iter(runner.train_dataloader)
            if (batch_idx + 1) % block:
                return
            mine = (time.perf_counter() - self.start) / block
            if batch_idx + 1 > block:  # the first block is a warm-up
                other = bare_steps(runner, batches, block)
                bare.append(other)
                with_runner.append(mine)
                ratios.append(mine / other)
            self.start = time.perf_counter()

    runner.register_hook(Alternate())
    runner.train()
    return dict(
        rounds=len(ratios),
        bare_ms=round(1000 * statistics.median(bare), 2),
        runner_ms=round(1000 * statistics.median(with_runner), 2),
        overhead_percent=round(100 * (statistics.median(ratios) - 1), 2),
        quartiles_percent=[round(100 * (q - 1), 2) for q in statistics.quantiles(ratios, n=4)],
    )


def measure_long_run(folder: Path, iterations: int) -> dict:
    cfg = tiny_config(folder, iterations=iterations, size=32, width=4)
    cfg.default_hooks.checkpoint.interval = iterations // 20
    cfg.custom_hooks = [*cfg.custom_hooks, dict(type="StepTimes")]
    runner = build_runner(cfg)
    runner.train()
    (hook,) = (hook for hook in runner.hooks if isinstance(hook, StepTimes))
    steps = [1000 * (b - a) for a, b in zip(hook.times, hook.times[1:], strict=False)]
    part = len(steps) // 20
    size = (Path(cfg.work_dir) / f"iter_{iterations}.pth").stat().st_size
    return dict(
        iterations=len(steps) + 1,
        median_step_ms=[round(statistics.median(steps[i * part : (i + 1) * part]), 2) for i in range(20)],
        memory_mib=[
            round(hook.memory[i]) for i in range(0, len(hook.memory), max(1, len(hook.memory) // 20))
        ],
        last_checkpoint_kib=size // 1024,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["overhead", "long"])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--block", type=int, default=20, help="iterations in a round")
    parser.add_argument("--iterations", type=int, default=20_000)
    args = parser.parse_args()
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        if args.what == "overhead":
            result = measure_overhead(Path(folder), args.rounds, args.block)
        else:
            result = measure_long_run(Path(folder), args.iterations)
    sys.stdout.write(json.dumps(result) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
