"""Which features of a GPU work: precisions, NCCL, torch.compile, each on a small network.

    python tools/check_device.py          # exit status 1 where no GPU is found
    python tools/check_device.py --cpu    # the same on the CPU, with gloo instead of NCCL

Each line says ok or failed, and what a failure means for the recipes of tools/train_zoo.sh.
"""

import argparse
import math
import socket
import sys
from collections.abc import Callable, Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn

# name -> what a failure means
CHECKS = {
    "float32": "nothing can be trained here: look at `cellmm doctor`",
    "bfloat16": "configs whose AmpOptimWrapper has dtype='bfloat16', and --amp, do not work here",
    "float16": "dtype='float16' does not work here; no recipe uses it",
    "processes": "tools/dist_train.sh does not work here; the recipes use one GPU",
    "compile": "compile=True does not work here; no recipe uses it",
}


def small_network(device: str) -> tuple[nn.Module, Tensor]:
    """A network of convolutions, and a batch for it."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 1, 3, padding=1)]
    return nn.Sequential(*layers).to(device), torch.randn(2, 3, 64, 64, device=device)


def step(device: str, dtype: torch.dtype | None = None, compiled: bool = False) -> str:
    """Three steps of Adam; RuntimeError where the loss is not a number or does not fall."""
    network, images = small_network(device)
    forward = torch.compile(network) if compiled else network
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    scaler = torch.amp.GradScaler(device, init_scale=128.0, enabled=dtype == torch.float16)
    losses = []
    for _ in range(3):
        with torch.autocast(device, dtype, enabled=dtype is not None):
            loss = forward(images).float().square().mean()
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        losses.append(loss.item())
    if not all(map(math.isfinite, losses)) or losses[-1] >= losses[0]:
        raise RuntimeError(f"the losses of three steps are {losses}")
    return f"loss {losses[0]:.3f} to {losses[-1]:.3f}"


def exchange(rank: int, processes: int, device: str, port: int) -> None:
    """One process of ``processes`` adds up a number with the others; RuntimeError where the sum is wrong."""
    backend = "nccl" if device == "cuda" else "gloo"
    dist.init_process_group(backend, init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=processes)
    try:
        number = torch.ones(1, device=f"cuda:{rank}" if device == "cuda" else "cpu")
        dist.all_reduce(number)
        if number.item() != processes:
            raise RuntimeError(f"the sum of {processes} ones is {number.item():g}")
    finally:
        dist.destroy_process_group()


def processes(device: str) -> str:
    """One process for each GPU, or one on the CPU."""
    number = torch.cuda.device_count() if device == "cuda" else 1
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    if number == 1:
        exchange(0, 1, device, port)
    else:
        torch.multiprocessing.spawn(exchange, (number, device, port), nprocs=number)
    return f"{'nccl' if device == 'cuda' else 'gloo'}, {number} process{'es' * (number > 1)}"


def check(name: str, run: Callable[[], str]) -> bool:
    """Print the line of a check, and whether it went well."""
    try:
        print(f"ok      {name}: {run()}", flush=True)
    except Exception as error:  # whatever it is, it is what the check looks for
        text = " ".join(str(error).split())
        print(f"failed  {name}: {CHECKS[name]} ({type(error).__name__}: {text[:300]})", flush=True)
        return False
    return True


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cpu", action="store_true", help="check the CPU instead")
    device = "cpu" if parser.parse_args(argv).cpu else "cuda"
    if device == "cuda" and not torch.cuda.is_available():
        print("failed  device: torch finds no GPU; `cellmm doctor` says why, --cpu checks the CPU")
        return 1
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    print(f"ok      device: {', '.join(names) if device == 'cuda' else 'the CPU'}, torch {torch.__version__}")
    runs = {
        "float32": lambda: step(device),
        "bfloat16": lambda: step(device, torch.bfloat16),
        "float16": lambda: step(device, torch.float16),
        "processes": lambda: processes(device),
        "compile": lambda: step(device, compiled=True),
    }
    went_well = {name: check(name, runs[name]) for name in CHECKS}
    return 0 if went_well["float32"] else 1


if __name__ == "__main__":
    sys.exit(main())
