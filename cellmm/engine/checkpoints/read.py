"""Every checkpoint that cellmm reads comes through here, with weights_only=True."""

import copy
import logging
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from mmengine.logging import print_log
from mmengine.optim import OptimWrapper
from mmengine.runner.checkpoint import CheckpointLoader

from cellmm.engine.checkpoints.files import (
    RefusedCheckpointError,
    check_hash,
    read_safetensors,
    read_torch,
    save_weights,
    sha256,
)
from cellmm.engine.checkpoints.form import NUMBER, SCALER_PARTS, check_form, keep_paths_here, no_weights
from cellmm.errors import CellMMError
from cellmm.models.renamed_keys import with_new_names

__all__ = [
    "RefusedCheckpointError",
    "check_finite",
    "check_start_weights",
    "check_training_state",
    "load_checkpoint",
    "load_fitting",
    "load_weights",
    "save_weights",
    "sha256",
    "use_safe_loader",
]

# of what meta counts, from 0
_LIMITS = dict(iter=10**12, epoch=10**12, draws=10**15, epoch_start=10**15, seed=2**32 - 1)


def load_checkpoint(filename: str | Path, map_location: str | torch.device | None = "cpu") -> dict:
    """Read a checkpoint without running anything in it.

    Returns at least ``state_dict`` (tensors by name) and ``meta`` (a dict); a plain state dict and a
    ``.safetensors`` file come in that form too. ``meta.config``, which mmengine would run as Python on
    resume, is dropped, and so are paths that mmengine would remove files by. Where ``<filename>.json`` of
    publish_model.py lies beside it, the file must have the sha256 named there. The checksums inside the file
    are checked each time: torch itself reads over a flipped bit.

    Raises:
        CellMMError: the path is a URL, absent, cut off, altered, needs pickled code, or holds no weights.
    """
    filename = os.fspath(filename)
    if "://" in filename:
        raise CellMMError(
            f"{filename}: cellmm downloads nothing; fetch the file yourself and give its local path"
        )
    if not os.path.isfile(filename):
        raise CellMMError(f"{filename}: no such checkpoint file")
    check_hash(filename)
    read = read_safetensors if filename.endswith(".safetensors") else read_torch
    checkpoint = read(filename, map_location or "cpu")
    if not isinstance(checkpoint, dict):
        raise no_weights(filename, f"it is a {type(checkpoint).__name__}")
    if "state_dict" not in checkpoint:
        checkpoint = dict(state_dict=checkpoint)
    checkpoint.setdefault("meta", {})
    check_form(checkpoint, filename)
    checkpoint["meta"].pop("config", None)
    weights = checkpoint["state_dict"]
    checkpoint["state_dict"] = {name.removeprefix("module."): value for name, value in weights.items()}
    keep_paths_here(checkpoint.get("message_hub", {}).get("runtime_info", {}), filename)
    return checkpoint


def load_weights(filename: str | Path) -> dict[str, torch.Tensor]:
    """The model's tensors by name; raises as ``load_checkpoint`` does."""
    return load_checkpoint(filename)["state_dict"]


def load_fitting(model: torch.nn.Module, checkpoint: str | Path) -> None:
    """Load weights that fit to the last tensor and are finite, or say in one line what is wrong."""
    weights = load_weights(checkpoint)
    _refuse_misfits(model, weights, checkpoint)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:  # tensors without data, sparse ones and the like
        cause = str(error).splitlines()[-1].strip()
        raise CellMMError(f"{checkpoint}: its tensors cannot be copied into the model: {cause}") from error
    check_finite(model.state_dict(), checkpoint)


def check_finite(weights: Mapping[str, torch.Tensor], filename: str | Path) -> None:
    """Raise CellMMError where a tensor holds NaN or infinity; those without plain data are not looked at."""
    plain = [value for value in weights.values() if value.layout is torch.strided and not value.is_meta]
    if not all(value.isfinite().all() for value in plain):
        raise CellMMError(
            f"{filename}: its weights hold NaN or infinity, the training has diverged; give an earlier one"
        )


def check_start_weights(filename: str | Path, model: torch.nn.Module) -> None:
    """Refuse weights to start from (``load_from``) of which none fits; say how many fit where not all do."""
    weights, own = with_new_names(model, load_weights(filename)), model.state_dict()
    fitting = sum(name in own and own[name].shape == value.shape for name, value in weights.items())
    if not fitting:
        raise CellMMError(
            f"{filename}: none of its {len(weights)} tensors fits this config's model, by name and shape; "
            "give the config that they were trained with"
        )
    if not fitting == len(weights) == len(own):
        print_log(
            f"{filename}: {fitting} of its {len(weights)} tensors fit the model's {len(own)}; the others are "
            "left out, and what they do not fill starts anew",
            logger="current",
            level=logging.WARNING,
        )


def check_training_state(filename: str | Path, model: torch.nn.Module, optim_wrapper: OptimWrapper) -> None:
    """Raise CellMMError where this model and optimizer cannot go on from the file."""
    checkpoint = load_checkpoint(filename)
    absent = [key for key in ("optimizer", "message_hub") if key not in checkpoint]
    absent += [f"meta.{key}" for key in ("iter", "epoch") if key not in checkpoint["meta"]]
    if absent:
        raise CellMMError(
            f"{filename}: weights only, no training state ({', '.join(absent)} absent); to start a new "
            f"training from them: --cfg-options load_from={filename}"
        )
    for key, limit in _LIMITS.items():
        if not 0 <= (checkpoint["meta"].get(key) or 0) <= limit:
            raise CellMMError(f"{filename}: meta.{key} is not from 0 to {limit}; use an earlier checkpoint")
    _refuse_misfits(model, checkpoint["state_dict"], filename)
    averaged = checkpoint.get("ema_state_dict", {})
    averaged = {k.removeprefix("module."): v for k, v in averaged.items() if k.startswith("module.")}
    if averaged:
        _refuse_misfits(model, averaged, filename)
    schedulers = checkpoint.get("param_schedulers", [])
    if not isinstance(schedulers, list) or not all(isinstance(one, dict) for one in schedulers):
        raise CellMMError(
            f"{filename}: its param_schedulers are not a list of dicts; use an earlier checkpoint"
        )
    _check_optimizer(checkpoint["optimizer"], optim_wrapper, filename)


def use_safe_loader() -> None:
    """Send all of mmengine's loading (resume, load_from, init_cfg) through ``load_checkpoint``."""

    def load_from_safe(filename: str, map_location: str | torch.device | None = None) -> dict:
        return load_checkpoint(filename, map_location)

    for prefix in ["", *CheckpointLoader._schemes]:
        CheckpointLoader.register_scheme(prefix, load_from_safe, force=True)


def _refuse_misfits(
    model: torch.nn.Module, weights: Mapping[str, torch.Tensor], filename: str | Path
) -> None:
    own, weights = model.state_dict(), with_new_names(model, weights)
    missing, unknown = sorted(own.keys() - weights.keys()), sorted(weights.keys() - own.keys())
    other = [
        f"{name} {list(weights[name].shape)}, not {list(own[name].shape)}"
        for name in own.keys() & weights.keys()
        if weights[name].shape != own[name].shape
    ]
    wrong = [
        f"{len(names)} {what} ({', '.join(names[:2])}{', ...' if len(names) > 2 else ''})"
        for what, names in (("missing", missing), ("unknown", unknown), ("of another shape", sorted(other)))
        if names
    ]
    if wrong:
        raise CellMMError(
            f"{filename}: not weights of this config's model; tensors: {'; '.join(wrong)}; "
            "give the config that they were trained with"
        )


def _check_optimizer(state: dict, optim_wrapper: OptimWrapper, filename: str | Path) -> None:
    """What is there must be of this optimizer's form; a step of a copy, without gradient, shows the rest."""
    optimizer = optim_wrapper.optimizer
    groups, moments = state.get("param_groups", []), state.get("state", {})
    fits = [len(group.get("params", ())) for group in groups] == [
        len(group["params"]) for group in optimizer.param_groups
    ] and moments.keys() <= {number for group in groups for number in group["params"]}
    fits = fits and all(
        _numbers_in(group.get(key, value)) == _numbers_in(value)
        for group, own in zip(groups, optimizer.param_groups, strict=True)
        for key, value in own.items()
        if key != "params" and _numbers_in(value)
    )
    fits = fits and set(state.get("loss_scaler", ())) in (set(), SCALER_PARTS)
    fits = fits and "lr" in (state.get("base_param_settings") or {"lr"})
    cause = None
    if fits:
        trial = copy.deepcopy(optimizer)
        try:
            trial.load_state_dict({key: state[key] for key in ("state", "param_groups")})
            every = [one for group in trial.param_groups for one in group["params"]]
            for parameter in trial.state or every:  # one without a gradient so far has no state
                parameter.grad = torch.zeros_like(parameter)
            trial.step()
        except Exception as error:  # whatever an optimizer does with a state that is not its own
            cause = error
    if cause or not fits:
        raise CellMMError(
            f"{filename}: its optimizer state is not of this config's optimizer and model; resume with the "
            f"config that it was trained with, or start anew: --cfg-options load_from={filename}"
        ) from cause


def _numbers_in(value: object) -> str:
    """``n`` for a number, ``(nn)`` for a pair of them; empty for anything else."""
    if isinstance(value, (list, tuple)):
        return f"({''.join(map(_numbers_in, value))})"
    return "n" if isinstance(value, NUMBER) else ""
