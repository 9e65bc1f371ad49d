"""Write weights, complete or not at all."""

from collections.abc import Mapping
from pathlib import Path

import torch

from cellmm.engine.checkpoints.safetensors_file import safetensors_functions, safetensors_metadata
from cellmm.io.files import atomic_path


def save_weights(filename: str | Path, weights: Mapping[str, torch.Tensor], meta: dict) -> None:
    """Write tensors by name and ``meta`` (plain values): as safetensors if the suffix says so, else by torch.

    The same input gives the same bytes.

    Raises:
        CellMMError: the suffix is ``.safetensors`` and safetensors is not installed.
    """
    filename = Path(filename)
    plain = {
        name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, value in weights.items()
    }
    save_file = safetensors_functions(filename)[1] if filename.suffix == ".safetensors" else None
    with atomic_path(filename) as tmp:
        if save_file:
            save_file(plain, tmp, metadata=safetensors_metadata(plain, meta))
        else:
            with open(tmp, "wb") as file:  # given a path, torch would write its name into the file
                torch.save(dict(state_dict=plain, meta=meta), file)
