"""How checkpoint files are read and written: as data only, and whole or not at all."""

import hashlib
import json
import pickle
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from cellmm.errors import CellMMError
from cellmm.io.files import atomic_path

# in the metadata of a safetensors file: the sha256 of its tensors and of what else cellmm wrote there
_DIGEST = "cellmm_sha256"


class RefusedCheckpointError(CellMMError):
    """A checkpoint that could be read only by running what is in it."""


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
            content = meta | {_DIGEST: _digest(plain, meta)}
            save_file(plain, tmp, metadata=dict(cellmm=json.dumps(content)))
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


def read_torch(filename: str, map_location: str | torch.device) -> Any:
    """What torch.save wrote, with ``weights_only=True`` and the archive's checksums right."""
    try:
        if zipfile.is_zipfile(filename):
            with zipfile.ZipFile(filename) as archive:
                if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
                    raise CellMMError(f"{filename}: refused, a compressed archive is no checkpoint")
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
            f"{filename}: refused, it holds objects other than tensors and plain values (or is no "
            "checkpoint); only load files that were saved by cellmm, or see "
            "tools/model_converters/convert_pickle_checkpoint.py"
        ) from error
    except Exception as error:  # a damaged file can fail anywhere inside the reader
        raise CellMMError(
            f"{filename}: not a whole checkpoint, the file is damaged, cut off or of another kind; use an "
            "earlier one"
        ) from error


def read_safetensors(filename: str, map_location: str | torch.device) -> dict:
    """``state_dict`` and ``meta`` of a safetensors file; those that cellmm wrote with the right digest."""
    safe_open, _ = _safetensors(filename)
    try:
        with safe_open(filename, framework="pt", device=str(map_location)) as file:
            weights = {name: file.get_tensor(name) for name in file.keys()}
            notes = file.metadata() or {}
            # by its content: a flipped bit in the word cellmm must not lose it
            text = next((note for note in notes.values() if _DIGEST in note), notes.get("cellmm", "{}"))
            meta = json.loads(text)
        digest = meta.pop(_DIGEST, None)
        if digest is not None and digest != _digest(weights, meta):
            raise ValueError("the digest is wrong")
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


def _digest(weights: Mapping[str, torch.Tensor], meta: dict) -> str:
    """The sha256 of the tensors with their names, types and shapes, and of ``meta``."""
    digest = hashlib.sha256(json.dumps(meta).encode())
    for name, value in sorted(weights.items()):
        value = value.cpu().contiguous()
        digest.update(f"{name} {value.dtype} {list(value.shape)} ".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def check_hash(filename: str) -> None:
    """Where ``<filename>.json`` names a sha256, the file must have it."""
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
