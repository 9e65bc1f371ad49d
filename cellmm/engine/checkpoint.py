"""Every checkpoint that cellmm reads comes through here, with weights_only=True."""

import os
import pickle
from pathlib import Path

import numpy as np
import torch
from mmengine.runner.checkpoint import CheckpointLoader

from cellmm.errors import CellMMError


def load_checkpoint(filename: str | Path, map_location: str | torch.device | None = "cpu") -> dict:
    """Read a checkpoint without running anything in it.

    ``meta.config``, which mmengine would run as Python on resume, is dropped.

    Raises:
        CellMMError: the path is a URL, absent, cut off, or needs pickled code.
    """
    filename = os.fspath(filename)
    if "://" in filename:
        raise CellMMError(
            f"{filename}: cellmm downloads nothing; fetch the file yourself and give its local path"
        )
    if not os.path.isfile(filename):
        raise CellMMError(f"{filename}: no such checkpoint file")
    try:
        checkpoint = torch.load(filename, map_location=map_location or "cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CellMMError(
            f"{filename}: refused, it holds objects other than tensors and plain values "
            "(or is no checkpoint); only load files that were saved by cellmm"
        ) from error
    except (RuntimeError, EOFError, OSError, KeyError, ValueError) as error:
        raise CellMMError(
            f"{filename}: not a whole checkpoint, the file is damaged or cut off; use an earlier one"
        ) from error
    if isinstance(checkpoint, dict) and isinstance(checkpoint.get("meta"), dict):
        checkpoint["meta"].pop("config", None)
    return checkpoint


def load_weights(filename: str | Path) -> dict:
    """The model's state dict of a checkpoint, or the file itself where it is a plain state dict.

    Raises:
        CellMMError: as ``load_checkpoint``, and where there are no tensors by name.
    """
    checkpoint = load_checkpoint(filename)
    state = checkpoint.get("state_dict", checkpoint) if isinstance(checkpoint, dict) else None
    if not isinstance(state, dict) or not any(isinstance(value, torch.Tensor) for value in state.values()):
        raise CellMMError(f"{filename}: holds no weights; give the .pth file that training wrote")
    return {name.removeprefix("module."): value for name, value in state.items()}


def load_fitting(model: torch.nn.Module, checkpoint: str | Path) -> None:
    """Load weights that fit to the last tensor, or say in one line what does not."""
    weights = load_weights(checkpoint)
    own = model.state_dict()
    missing, unknown = sorted(own.keys() - weights.keys()), sorted(weights.keys() - own.keys())
    other = [
        f"{name} {list(weights[name].shape)}, not {list(own[name].shape)}"
        for name in own.keys() & weights.keys()
        if isinstance(own[name], torch.Tensor) and np.shape(weights[name]) != own[name].shape
    ]
    wrong = [
        f"{len(names)} {what} ({', '.join(names[:2])}{', ...' if len(names) > 2 else ''})"
        for what, names in (("missing", missing), ("unknown", unknown), ("of another shape", sorted(other)))
        if names
    ]
    if wrong:
        raise CellMMError(
            f"{checkpoint}: not weights of this config's model; tensors: {'; '.join(wrong)}; "
            "give the config that they were trained with"
        )
    model.load_state_dict(weights)


def use_safe_loader() -> None:
    """Send all of mmengine's loading (resume, load_from, init_cfg) through ``load_checkpoint``."""

    def load_from_safe(filename: str, map_location: str | torch.device | None = None) -> dict:
        return load_checkpoint(filename, map_location)

    for prefix in ["", *CheckpointLoader._schemes]:
        CheckpointLoader.register_scheme(prefix, load_from_safe, force=True)
