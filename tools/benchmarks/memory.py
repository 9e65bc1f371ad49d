"""Peak memory and loss of one training step of several configs, each in a process of its own, in one run.

    python tools/benchmarks/memory.py CONFIG CONFIG ...

The step has the config's model, optimizer, precision and activation checkpointing, on noise with round cells
that overlap. On a GPU: the most that torch allocated. Else the process's memory beyond that after
the imports, with model and optimizer.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.runner.utils import set_random_seed
from mmengine.structures import InstanceData
from skimage.draw import disk

import cellmm.engine.mmengine_fixes.optim_wrappers  # noqa: F401 (registers them)
from cellmm.config.load import load_config
from cellmm.registry import MODELS
from cellmm.structures import CellSample, LabelLayers


def sample(size: int, cells: int, rng: np.random.Generator) -> CellSample:
    """An image of size x size with disks of a tenth of its side."""
    masks = np.zeros((cells, size, size), dtype=bool)
    for mask, centre in zip(masks, rng.integers(0, size, (cells, 2)), strict=True):
        mask[disk(centre, size / 20, shape=mask.shape)] = True
    layers = LabelLayers.from_masks(masks)
    return CellSample(
        gt_layers=torch.from_numpy(layers.layers),
        gt_instances=InstanceData(labels=torch.zeros(cells, dtype=torch.long)),
        metainfo=dict(img_path="noise", img_shape=(size, size)),
    )


def resident(key: str) -> float:
    """VmRSS (now) or VmHWM (the most so far) of this process, MiB."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{key}:")[2].split()[0]) / 1024


def measure(config: str, size: int, batch: int, cells: int) -> dict:
    """One step: dict(peak in MiB, the losses)."""
    init_default_scope("cellmm")
    cfg = load_config(config)
    on_gpu = torch.cuda.is_available()
    before = resident("VmRSS")
    set_random_seed(0)
    model = MODELS.build(cfg.model).to("cuda" if on_gpu else "cpu")
    optim_wrapper = build_optim_wrapper(model, dict(cfg.optim_wrapper, accumulative_counts=1))
    rng = np.random.default_rng(0)
    channels = model.data_preprocessor.in_channels
    data = dict(
        inputs=[torch.rand(channels, size, size) for _ in range(batch)],
        data_samples=[sample(size, cells, rng) for _ in range(batch)],
    )
    logs = model.train_step(data, optim_wrapper)
    peak = torch.cuda.max_memory_allocated() / 2**20 if on_gpu else resident("VmHWM") - before
    return dict(
        config=config, peak=round(peak), **{key: round(value.item(), 4) for key, value in logs.items()}
    )


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("configs", nargs="+")
    parser.add_argument("--size", type=int, default=512, help="side of the images, px")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--cells", type=int, default=60, help="in an image")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)  # measure in this process
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    sizes = dict(size=args.size, batch=args.batch, cells=args.cells)
    if args.here:
        print(json.dumps(measure(args.configs[0], **sizes)))
        return 0
    options = [text for key, value in sizes.items() for text in (f"--{key}", str(value))]
    for config in args.configs:
        command = [sys.executable, "-W", "ignore", __file__, config, "--here", *options]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            return done.returncode
        row = json.loads(done.stdout.splitlines()[-1])
        losses = ", ".join(f"{key} {value}" for key, value in row.items() if key not in ("config", "peak"))
        print(f"{row['config']}: {row['peak']} MiB, {losses}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
