"""Load a checkpoint into a model, or say in one line why it does not fit the model or the optimizer."""

import copy
from collections.abc import Mapping
from pathlib import Path

import torch
from mmengine.optim import OptimWrapper

from cellmm.engine.checkpoints.form import NUMBER, SCALER_PARTS
from cellmm.engine.checkpoints.read import load_checkpoint, load_weights
from cellmm.engine.part_optimizers import each_wrapper
from cellmm.errors import CellMMError
from cellmm.models.renamed_keys import with_new_names

# of the counts in meta, from 0
_LIMITS = dict(iter=10**12, epoch=10**12, draws=10**15, epoch_start=10**15, seed=2**32 - 1)


def load_fitting(
    model: torch.nn.Module, filename: str | Path, weights: Mapping[str, torch.Tensor] | None = None
) -> None:
    """Load weights into ``model``; they must match in every tensor and be finite.

    Args:
        weights: the content of ``filename``, if it was read before.

    Raises:
        CellMMError: one line that says what does not fit.
    """
    weights = load_weights(filename) if weights is None else weights
    _refuse_misfits(model, weights, filename)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:  # tensors without data, sparse tensors and the like
        cause = str(error).splitlines()[-1].strip()
        raise CellMMError(f"{filename}: its tensors cannot be copied into the model: {cause}") from error
    check_finite(model.state_dict(), filename)


def check_finite(weights: Mapping[str, torch.Tensor], filename: str | Path) -> None:
    """Raise CellMMError if a tensor holds NaN or infinity; tensors without plain data are not checked."""
    plain = [value for value in weights.values() if value.layout is torch.strided and not value.is_meta]
    if not all(value.isfinite().all() for value in plain):
        raise CellMMError(
            f"{filename}: its weights hold NaN or infinity, the training has diverged; give an earlier one"
        )


def check_training_state(
    filename: str | Path,
    model: torch.nn.Module,
    optim_wrapper: OptimWrapper,
    checkpoint: dict | None = None,
) -> None:
    """Raise CellMMError if this model and optimizer cannot resume from the file.

    Args:
        checkpoint: the content of ``filename``, if it was read before.
    """
    checkpoint = load_checkpoint(filename) if checkpoint is None else checkpoint
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
    wrappers, schedulers = each_wrapper(optim_wrapper), checkpoint.get("param_schedulers", [])
    has_parts, states = "" not in wrappers, checkpoint["optimizer"]
    if has_parts and (
        states.keys() != wrappers.keys() or not all(isinstance(v, dict) for v in states.values())
    ):
        raise CellMMError(
            f"{filename}: its optimizers are {', '.join(map(str, states))}, those of this config "
            f"{', '.join(wrappers)}; resume with the config that it was trained with"
        )
    for name, wrapper in wrappers.items():
        state = states[name] if has_parts else states
        own = schedulers.get(name, []) if has_parts and isinstance(schedulers, dict) else schedulers
        if not isinstance(own, list) or not all(isinstance(schedule, dict) for schedule in own):
            raise CellMMError(
                f"{filename}: its param_schedulers are not a list of dicts; use an earlier checkpoint"
            )
        _check_optimizer(state, wrapper, filename)


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
    """Compare the saved state with the optimizer's form, then take a step with a copy and zero gradients."""
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
            trial.load_state_dict(copy.deepcopy({key: state[key] for key in ("state", "param_groups")}))
            parameters = [parameter for group in trial.param_groups for parameter in group["params"]]
            for parameter in trial.state or parameters:  # without a gradient so far it has no state
                parameter.grad = torch.zeros_like(parameter)
            trial.step()
        except Exception as error:  # an optimizer can fail anywhere on a state that is not its own
            cause = error
    if cause or not fits:
        raise CellMMError(
            f"{filename}: its optimizer state is not of this config's optimizer and model; resume with the "
            f"config that it was trained with, or start anew: --cfg-options load_from={filename}"
        ) from cause


def _numbers_in(value: object) -> str:
    """``n`` for a number, ``(nn)`` for a pair of numbers; empty for anything else."""
    if isinstance(value, (list, tuple)):
        return f"({''.join(map(_numbers_in, value))})"
    return "n" if isinstance(value, NUMBER) else ""
