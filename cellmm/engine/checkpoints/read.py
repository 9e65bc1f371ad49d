"""Read checkpoints as data: nothing in the file is ever executed."""

import hashlib
import json
import os
import pickle
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import torch

from cellmm.engine.checkpoints.form import check_form, keep_paths_here, unusable
from cellmm.engine.checkpoints.safetensors_file import read_safetensors
from cellmm.errors import CellMMError


class RefusedCheckpointError(CellMMError):
    """A checkpoint that could be read only by executing its content."""


def load_checkpoint(filename: str | Path, map_location: str | torch.device | None = "cpu") -> dict:
    """Read a checkpoint without executing anything in it.

    The result has at least ``state_dict`` (tensors by name) and ``meta`` (a dict); a plain state dict and a
    ``.safetensors`` file come in that form too. ``meta.config``, which mmengine would execute as Python on
    resume, is dropped, as are paths of files that mmengine would remove. If publish_model.py left a
    ``<filename>.json`` beside the file, the file must have the sha256 named there. The checksums inside the
    file are always verified: torch itself does not notice a flipped bit.

    Raises:
        CellMMError: the path is a URL, or the file is absent, cut off, altered, needs pickled code, or holds
            no weights.
    """
    filename = os.fspath(filename)
    if "://" in filename:
        raise CellMMError(
            f"{filename}: cellmm downloads nothing; fetch the file yourself and give its local path"
        )
    if not os.path.isfile(filename):
        raise CellMMError(f"{filename}: no such checkpoint file")
    _check_published_hash(filename)
    read = read_safetensors if filename.endswith(".safetensors") else _read_torch
    checkpoint = read(filename, map_location or "cpu")
    if not isinstance(checkpoint, dict):
        raise unusable(filename, f"it is a {type(checkpoint).__name__}")
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


def sha256(filename: str | Path) -> str:
    """The file's sha256 in hexadecimal digits."""
    with open(filename, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_torch(filename: str, map_location: str | torch.device) -> Any:
    """What torch.save wrote, read with ``weights_only=True``; the archive's checksums must be right."""
    try:
        if zipfile.is_zipfile(filename):
            with zipfile.ZipFile(filename) as archive:
                if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
                    raise CellMMError(f"{filename}: refused, a compressed archive is not a checkpoint")
                if archive.testzip() is not None:  # torch does not look at the checksums
                    raise zipfile.BadZipFile("a checksum is wrong")
        elif tarfile.is_tarfile(filename):
            raise RefusedCheckpointError(
                f"{filename}: refused, a tar archive cannot be read without running what is in it"
            )
        return torch.load(filename, map_location=map_location, weights_only=True)
    except CellMMError:
        raise
    except pickle.UnpicklingError as error:
        raise RefusedCheckpointError(
            f"{filename}: refused, it holds objects other than tensors and plain values (or is not "
            "a checkpoint); only load files that were saved by cellmm, or see "
            "tools/model_converters/convert_pickle_checkpoint.py"
        ) from error
    except Exception as error:  # a damaged file can fail anywhere inside the reader
        raise CellMMError(
            f"{filename}: not a whole checkpoint, the file is damaged, cut off or of another kind; use an "
            "earlier one"
        ) from error


def _check_published_hash(filename: str) -> None:
    """If ``<filename>.json`` exists, the file must have the sha256 that it names."""
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
