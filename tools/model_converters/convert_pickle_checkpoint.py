"""Turn an old checkpoint that needs pickle into one of plain tensors. THIS RUNS CODE THAT IS IN THE FILE.

A pickle is a program: whoever made the file decides what it does, with all your rights on this machine. Only
go on with a file from someone whom you would let work on it. The tool asks before it reads; files of plain
tensors are converted without a question, because nothing in them runs.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cellmm.engine.checkpoints import RefusedCheckpointError, load_checkpoint, save_weights
from cellmm.errors import CellMMError

WARNING = (
    "this file needs pickle: reading it RUNS CODE THAT IS IN IT, with all your rights on this machine; go on "
    "only if you trust whoever made it"
)


def convert(source: Path, out: Path, trusted: bool, force: bool = False) -> None:
    """Write the weights of ``source`` to ``out``, which cellmm loads; a training state is not kept.

    ``trusted``: go on without a question where the file has to be unpickled.
    """
    if out.suffix not in (".pth", ".safetensors"):
        raise CellMMError(f"{out}: name the file *.pth or *.safetensors")
    if out.exists() and not force:
        raise CellMMError(f"{out} exists: give another name, or --force to replace it")
    if not source.is_file():
        raise CellMMError(f"{source}: no such file")
    try:
        checkpoint = load_checkpoint(source)
    except RefusedCheckpointError:
        if not (trusted or ask(source)):
            raise CellMMError(
                f"{source}: not converted, {WARNING}: --i-trust-this-file, or answer yes at a terminal"
            ) from None
        checkpoint = unpickle(source)
    save_weights(out, *plain_parts(checkpoint, source))


def ask(source: Path) -> bool:
    """Whether someone at a terminal types yes."""
    if not sys.stdin.isatty():
        return False
    print(f"{source}: {WARNING}.\nRun it? Type yes to go on: ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip() == "yes"


def unpickle(source: Path) -> Any:
    """The only place in cellmm that runs code from a file, and only after consent."""
    try:
        return torch.load(source, map_location="cpu", weights_only=False)
    except Exception as error:  # it is foreign code
        cause = " ".join(str(error).split())
        raise CellMMError(
            f"{source}: cannot be unpickled ({type(error).__name__}: {cause}); the packages that it was made "
            "with must be installed"
        ) from error


def plain_parts(checkpoint: Any, source: Path) -> tuple[dict[str, torch.Tensor], dict]:
    """Weights by name (of a module, a state dict, or a dict that holds one) and what of its meta is kept."""
    meta = checkpoint.get("meta") if isinstance(checkpoint, dict) else None
    state = checkpoint.get("state_dict", checkpoint) if isinstance(checkpoint, dict) else checkpoint
    state = state.state_dict() if isinstance(state, torch.nn.Module) else state
    if not isinstance(state, dict) or not state:
        raise CellMMError(f"{source}: holds no weights: neither a module nor tensors by name")
    weights = {}
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, (torch.Tensor, np.ndarray)):
            raise CellMMError(f"{source}: {name!r} in it is a {type(value).__name__}, not a tensor")
        weights[name.removeprefix("module.")] = torch.as_tensor(value)
    meta = meta if isinstance(meta, dict) else {}
    classes = (meta.get("dataset_meta") or {}).get("classes") or meta.get("CLASSES") or ()
    kept = dict(dataset_meta=dict(classes=[str(name) for name in classes])) if classes else {}
    return weights, kept | ({"iter": int(meta["iter"])} if "iter" in meta else {})


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="convert_pickle_checkpoint",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", type=Path, metavar="IN", help="the old checkpoint")
    parser.add_argument("out", type=Path, metavar="OUT", help="a new .pth or .safetensors file")
    parser.add_argument(
        "--i-trust-this-file", action="store_true", help="run the code in IN without a question"
    )
    parser.add_argument("--force", action="store_true", help="replace OUT where it exists")
    args = parser.parse_args(argv)
    try:
        convert(args.source, args.out, args.i_trust_this_file, args.force)
    except CellMMError as error:
        print(f"convert_pickle_checkpoint: {error}", file=sys.stderr)
        return 1
    print(args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
