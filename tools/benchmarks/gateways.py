"""Encode once, decode every gateway, against the thesis' two passes of the whole network per gateway.

    python tools/benchmarks/gateways.py [CONFIG ...] [--gates 14]

For each config, with random weights and a random image of the size that it trains on: the mask logits of
every gateway by (1) the whole network again for each, (2) the features once and the gateways in batches,
through the same windows, (3) the same through the config's own windows. Prints the largest difference of (1)
and (2) and the times as ratios, medians of alternating rounds. Source: diskmask 3.4.3.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from cellmm.config.load import load_config
from cellmm.models.heads.gateways import Gateways
from cellmm.models.segmentor import CellSegmentor
from cellmm.registry import MODELS

ROOT = Path(__file__).parents[2]
CONFIGS = [str(ROOT / "configs/diskmask" / name) for name in ("bbbc010_paper.py", "bbbc010_cpu.py")]


def scattered_gateways(num: int, shape: Sequence[int], radius: float = 3.0) -> Gateways:
    """Disks at random places of the middle half of a map of ``shape``."""
    side = torch.tensor(shape, dtype=torch.float32)
    points = (side / 4 + torch.rand(num, 2) * side / 2).round()
    return Gateways(points, torch.full((num,), radius), torch.ones(num))


def decode(model: CellSegmentor, features: list[Tensor], gateways: Gateways, which: Tensor) -> Tensor:
    """Logits (K, h, w) of gateways ``which`` through windows of the head's size."""
    head = model.heads[model.instance_head]
    f = head(features)["features"]
    size = head.windows.shape_on(f.shape[-2:])
    first = head.windows.first_pixels(gateways.points[which], size, f.shape[-2:])
    gates = gateways.open(which, first, size)
    return head.decode_windows(features, f, torch.zeros_like(which), first, gates)[0]


def each_anew(model: CellSegmentor, image: Tensor, gateways: Gateways) -> Tensor:
    """The whole network once more for every gateway."""
    index = torch.arange(len(gateways))
    return torch.cat([decode(model, model.extract(image), gateways, which) for which in index.split(1)])


def encode_once(model: CellSegmentor, image: Tensor, gateways: Gateways) -> Tensor:
    """The features once, then the gateways in batches."""
    features = model.extract(image)
    batches = torch.arange(len(gateways)).split(model.heads[model.instance_head].windows.batch_size)
    return torch.cat([decode(model, features, gateways, batch) for batch in batches])


def seconds(rounds: int, *functions: Callable[[], Tensor]) -> list[float]:
    """Median of alternating rounds, after one to warm up."""
    times: list[list[float]] = [[] for _ in functions]
    for round_ in range(rounds + 1):
        for spent, function in zip(times, functions, strict=True):
            start = time.perf_counter()
            function()
            if round_:
                spent.append(time.perf_counter() - start)
    return [statistics.median(spent) for spent in times]


@torch.inference_mode()
def compare(config: str, gates: int, rounds: int, side: int | None = None) -> dict[str, float]:
    """``difference`` of logits, ``seconds`` of the two passes, how many times as fast the others are."""
    torch.manual_seed(0)
    cfg = load_config(config)
    model = MODELS.build(cfg.model).eval()
    side = side or (516 if cfg.model.encoder.get("padding") == "valid" else 448)
    image = torch.randn(1, cfg.model.data_preprocessor.in_channels, side, side)
    windows = model.heads[model.instance_head].windows
    own, windows.size = windows.size, None
    gateways = scattered_gateways(gates, model.extract(image)[0].shape[-2:])
    difference = (each_anew(model, image, gateways) - encode_once(model, image, gateways)).abs().max()

    def with_own_windows() -> Tensor:
        windows.size = own
        logits = encode_once(model, image, gateways)
        windows.size = None
        return logits

    anew, once, in_windows = seconds(
        rounds,
        lambda: each_anew(model, image, gateways),
        lambda: encode_once(model, image, gateways),
        with_own_windows,
    )
    return dict(difference=float(difference), seconds=anew, once=anew / once, own_windows=anew / in_windows)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("configs", nargs="*", default=CONFIGS)
    parser.add_argument("--gates", type=int, default=14)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args(argv)
    for config in args.configs:
        row = compare(config, args.gates, args.rounds)
        print(
            f"{Path(config).stem}: {args.gates} gateways, {torch.get_num_threads()} threads: two passes each "
            f"{row['seconds']:.2f} s; encoded once {row['once']:.1f}x as fast, largest difference of a logit "
            f"{row['difference']:.1e}; with windows of the config {row['own_windows']:.1f}x"
        )


if __name__ == "__main__":
    sys.exit(main())
