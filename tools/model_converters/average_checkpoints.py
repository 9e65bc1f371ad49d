"""Average the weights of checkpoints of one config: the file predicts as fast as one model."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from cellmm.engine.checkpoints import check_finite, load_checkpoint, save_weights
from cellmm.errors import CellMMError


def average(sources: Sequence[Path], out: Path, force: bool = False) -> int:
    """Write the mean of the weights of ``sources`` (.pth or .safetensors); returns the number of tensors.

    They should come from one training, or from trainings that started from the same weights: the mean of
    models that learned independently is none. Whole numbers, such as the steps that batch norms count, are
    those of the last file, and so is what the checkpoint says about the images of training. Running means of
    batch norms are averaged. Source: Wortsman et al., Model soups.

    Raises:
        CellMMError: fewer than two files, tensors that differ in name or shape, or a file that exists.
    """
    if len(sources) < 2:
        raise CellMMError("give two checkpoints or more")
    if out.suffix not in (".pth", ".safetensors"):
        raise CellMMError(f"{out}: name the file *.pth or *.safetensors")
    if out.exists() and not force:
        raise CellMMError(f"{out} exists: give another name, or --force to replace it")
    total: dict[str, Tensor] = {}
    for source in sources:
        checkpoint = load_checkpoint(source)
        weights = checkpoint["state_dict"]
        check_finite(weights, source)
        if total and {k: v.shape for k, v in weights.items()} != {k: v.shape for k, v in total.items()}:
            raise CellMMError(
                f"{source}: its tensors differ in name or shape from those of {sources[0]}; only checkpoints "
                "of one config can be averaged. `cellmm predict --model A --model B` merges what they find"
            )
        for name, value in weights.items():
            value = value.double() if value.is_floating_point() else value
            total[name] = total[name] + value if name in total and value.is_floating_point() else value
    kinds = {name: value.dtype for name, value in weights.items()}
    means = {k: (v / len(sources)).to(kinds[k]) if v.dtype == torch.float64 else v for k, v in total.items()}
    meta = {k: v for k, v in checkpoint["meta"].items() if k in ("dataset_meta", "trained_on", "config_name")}
    save_weights(out, means, meta)
    return len(means)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="average_checkpoints", description=__doc__)
    parser.add_argument("sources", nargs="+", type=Path, metavar="IN", help="checkpoints of one config")
    parser.add_argument("--out", required=True, type=Path, help="a new .pth or .safetensors file")
    parser.add_argument("--force", action="store_true", help="replace OUT where it exists")
    args = parser.parse_args(argv)
    try:
        number = average(args.sources, args.out, args.force)
    except CellMMError as error:
        print(f"average_checkpoints: {error}", file=sys.stderr)
        return 1
    print(f"{args.out}: the mean of {len(args.sources)} checkpoints, {number} tensors")
    return 0


if __name__ == "__main__":
    sys.exit(main())
