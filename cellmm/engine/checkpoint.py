"""Every checkpoint that cellmm reads comes through here, with weights_only=True."""

import copy
import hashlib
import json
import logging
import os
import pickle
import re
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.optim import OptimWrapper
from mmengine.runner.checkpoint import CheckpointLoader

from cellmm.errors import CellMMError
from cellmm.utils import atomic_path

_NUMBER = (int, float)
# what the parts of a checkpoint are, where they are there; * is all of a dict or a list
_FORM = {
    "state_dict": dict,
    "meta": dict,
    "meta.iter": int,
    "meta.epoch": int,
    "meta.seed": (int, type(None)),
    "meta.dataset_meta": (dict, type(None)),
    "meta.dataset_meta.classes": (list, tuple),
    "meta.trained_on": (dict, type(None)),
    "ema_state_dict": dict,
    "optimizer": dict,
    "optimizer.param_groups": list,
    "optimizer.param_groups.*": dict,
    "optimizer.param_groups.*.params": list,
    "optimizer.param_groups.*.params.*": int,
    "optimizer.param_groups.*.lr": _NUMBER,
    "optimizer.state": dict,
    "optimizer.state.*": dict,
    "optimizer.base_param_settings": (dict, type(None)),
    "optimizer.base_param_settings.lr": _NUMBER,
    "optimizer.loss_scaler": dict,
    "optimizer.loss_scaler.*": _NUMBER,
    "param_schedulers": (list, dict),
    "param_schedulers.*": (list, dict),
    "early_stopping": dict,
    "early_stopping.*": dict,
    "early_stopping.*.wait_count": int,
    "early_stopping.*.best_score": _NUMBER,
    "early_stopping.*.stop_training": bool,
    "num_skips": int,
    "message_hub": dict,
    "message_hub.log_scalars": dict,
    "message_hub.runtime_info": dict,
    "message_hub.runtime_info.last_validation": int,
    "message_hub.resumed_keys": dict,
}
_SCALER_PARTS = {"scale", "growth_factor", "backoff_factor", "growth_interval", "_growth_tracker"}
_HUB_PARTS = ("log_scalars", "runtime_info", "resumed_keys")
_LIMITS = dict(iter=10**12, epoch=10**12, seed=2**32 - 1)  # of what meta counts, from 0


class RefusedCheckpointError(CellMMError):
    """A checkpoint that could be read only by running what is in it."""


def load_checkpoint(filename: str | Path, map_location: str | torch.device | None = "cpu") -> dict:
    """Read a checkpoint without running anything in it.

    Returns at least ``state_dict`` (tensors by name) and ``meta`` (a dict); a plain state dict and a
    ``.safetensors`` file come in that form too. ``meta.config``, which mmengine would run as Python on
    resume, is dropped, and so are paths that mmengine would remove files by. Where ``<filename>.json`` of
    publish_model.py lies beside it, the file must have the sha256 named there.

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
    _check_hash(filename)
    read = _read_safetensors if filename.endswith(".safetensors") else _read_torch
    checkpoint = read(filename, map_location or "cpu")
    if not isinstance(checkpoint, dict):
        raise _no_weights(filename, f"it is a {type(checkpoint).__name__}")
    if "state_dict" not in checkpoint:
        checkpoint = dict(state_dict=checkpoint)
    checkpoint.setdefault("meta", {})
    _check_form(checkpoint, filename)
    checkpoint["meta"].pop("config", None)
    weights = checkpoint["state_dict"]
    checkpoint["state_dict"] = {name.removeprefix("module."): value for name, value in weights.items()}
    _keep_paths_here(checkpoint.get("message_hub", {}).get("runtime_info", {}), filename)
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
    if not all(value.isfinite().all() for value in model.state_dict().values()):
        raise CellMMError(
            f"{checkpoint}: its weights hold NaN or infinity, the training has diverged; give an earlier one"
        )


def check_start_weights(filename: str | Path, model: torch.nn.Module) -> None:
    """Refuse weights to start from (``load_from``) of which none fits; say how many fit where not all do."""
    weights, own = load_weights(filename), model.state_dict()
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
        raise CellMMError(f"{filename}: its param_schedulers are no list of dicts; use an earlier checkpoint")
    _check_optimizer(checkpoint["optimizer"], optim_wrapper, filename)


def save_weights(filename: str | Path, weights: Mapping[str, torch.Tensor], meta: dict) -> None:
    """Write tensors by name and ``meta`` (plain values): safetensors where the suffix says so, else torch.

    The same input gives the same bytes.

    Raises:
        CellMMError: safetensors is asked for and not installed.
    """
    filename = Path(filename)
    plain = {
        name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, value in weights.items()
    }
    save_file = _safetensors(filename)[1] if filename.suffix == ".safetensors" else None
    with atomic_path(filename) as tmp:
        if save_file:
            save_file(plain, tmp, metadata=dict(cellmm=json.dumps(meta)))
        else:
            with open(tmp, "wb") as file:  # a path's name would become part of the file
                torch.save(dict(state_dict=plain, meta=meta), file)


def sha256(filename: str | Path) -> str:
    """The file's sha256 in hexadecimal digits."""
    digest = hashlib.sha256()
    with open(filename, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def use_safe_loader() -> None:
    """Send all of mmengine's loading (resume, load_from, init_cfg) through ``load_checkpoint``."""

    def load_from_safe(filename: str, map_location: str | torch.device | None = None) -> dict:
        return load_checkpoint(filename, map_location)

    for prefix in ["", *CheckpointLoader._schemes]:
        CheckpointLoader.register_scheme(prefix, load_from_safe, force=True)


def _read_torch(filename: str, map_location: str | torch.device) -> Any:
    try:
        if zipfile.is_zipfile(filename):
            with zipfile.ZipFile(filename) as archive:
                if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
                    raise CellMMError(f"{filename}: refused, a compressed archive is no checkpoint")
        elif tarfile.is_tarfile(filename):
            raise RefusedCheckpointError(
                f"{filename}: refused, a tar archive cannot be read without running what is in it"
            )
        return torch.load(filename, map_location=map_location, weights_only=True)
    except CellMMError:
        raise
    except pickle.UnpicklingError as error:
        raise RefusedCheckpointError(
            f"{filename}: refused, it holds objects other than tensors and plain values (or is no "
            "checkpoint); only load files that were saved by cellmm, or see "
            "tools/model_converters/convert_pickle_checkpoint.py"
        ) from error
    except Exception as error:  # a damaged file can fail anywhere inside the reader
        raise CellMMError(
            f"{filename}: not a whole checkpoint, the file is damaged, cut off or of another kind; use an "
            "earlier one"
        ) from error


def _read_safetensors(filename: str, map_location: str | torch.device) -> dict:
    safe_open, _ = _safetensors(filename)
    try:
        with safe_open(filename, framework="pt", device=str(map_location)) as file:
            weights = {name: file.get_tensor(name) for name in file.keys()}
            meta = json.loads((file.metadata() or {}).get("cellmm", "{}"))
    except Exception as error:
        raise CellMMError(
            f"{filename}: not a whole safetensors file, it is damaged, cut off or of another kind; fetch it "
            "again"
        ) from error
    return dict(state_dict=weights, meta=meta)


def _safetensors(filename: str | Path) -> tuple:
    try:
        from safetensors import safe_open
        from safetensors.torch import save_file
    except ImportError as error:
        raise CellMMError(f"{filename}: such files need safetensors: pip install safetensors") from error
    return safe_open, save_file


def _check_hash(filename: str) -> None:
    about = Path(f"{filename}.json")
    if not about.is_file():
        return
    try:
        expected = json.loads(about.read_text(encoding="utf-8"))["sha256"]
    except (ValueError, KeyError, TypeError, OSError, RecursionError) as error:
        raise CellMMError(
            f"{about}: names no sha256 of {filename}; fetch it again, or move it away to load without"
        ) from error
    if sha256(filename) != expected:
        raise CellMMError(
            f"{filename}: not the file that was published, its sha256 is not that of {about.name}; fetch it "
            "again"
        )


def _check_form(checkpoint: dict, filename: str) -> None:
    for path, types in _FORM.items():
        for value in _values_at(checkpoint, path.split(".")):
            if not isinstance(value, types):
                raise _no_weights(filename, f"its {path} is a {type(value).__name__}")
    for name, state in checkpoint.get("early_stopping", {}).items():
        if not state.keys() >= {"wait_count", "best_score", "stop_training"}:
            raise _no_weights(filename, f"its early_stopping of {name!r} is not whole")
    for part in ("state_dict", "ema_state_dict"):
        for name, value in checkpoint.get(part, {}).items():
            if not isinstance(name, str) or not isinstance(value, torch.Tensor):
                raise _no_weights(filename, f"{name!r} in it is a {type(value).__name__}, not a tensor")
    if not checkpoint["state_dict"]:
        raise _no_weights(filename, "it is empty")
    hub = checkpoint.get("message_hub", dict.fromkeys(_HUB_PARTS, {}))
    if absent := [part for part in _HUB_PARTS if part not in hub]:
        raise _no_weights(filename, f"its message_hub has no {' and no '.join(absent)}")
    for key, value in hub["runtime_info"].items():
        if str(key).startswith("best_score") and not isinstance(value, _NUMBER):
            raise _no_weights(filename, f"its {key} is a {type(value).__name__}")
    for name, pair in hub["log_scalars"].items():
        parts = pair if isinstance(pair, (list, tuple)) else ()
        if [part.ndim for part in parts if isinstance(part, torch.Tensor)] != [1, 1]:
            raise _no_weights(filename, f"its log of {name!r} is not two rows of numbers")


def _values_at(value: Any, keys: list[str]) -> list:
    """What is there under the keys, one after the other."""
    values = [value]
    for key in keys:
        if key == "*":
            parts = (part.values() if isinstance(part, dict) else part for part in values)
            values = [one for part in parts for one in part]
        else:
            values = [part[key] for part in values if isinstance(part, dict) and key in part]
    return values


def _no_weights(filename: str, why: str) -> CellMMError:
    return CellMMError(f"{filename}: holds no weights that can be used, {why}; give a file that cellmm wrote")


def _keep_paths_here(runtime_info: dict, filename: str) -> None:
    """Of the files that a checkpoint names for removal, keep ``best_*.pth`` beside the checkpoint itself."""
    for key in [key for key in runtime_info if str(key).startswith("best_ckpt")]:
        name = Path(runtime_info[key]).name if isinstance(runtime_info[key], str) else ""
        if re.fullmatch(r"best_.+\.pth", name):
            runtime_info[key] = str(Path(filename).parent / name)
        else:
            del runtime_info[key]
    steps = runtime_info.get("keep_ckpt_ids", [])
    if not isinstance(steps, list) or not all(type(step) is int for step in steps):
        del runtime_info["keep_ckpt_ids"]


def _refuse_misfits(
    model: torch.nn.Module, weights: Mapping[str, torch.Tensor], filename: str | Path
) -> None:
    own = model.state_dict()
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
    fits = fits and set(state.get("loss_scaler", ())) in (set(), _SCALER_PARTS)
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


def _numbers_in(value: Any) -> str:
    """``n`` for a number, ``(nn)`` for a pair of them; empty for anything else."""
    if isinstance(value, (list, tuple)):
        return f"({''.join(map(_numbers_in, value))})"
    return "n" if isinstance(value, _NUMBER) else ""
