"""The safetensors format: tensors and text, with a digest of both."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch

from cellmm.errors import CellMMError

# key in the file's metadata: the sha256 of its tensors and of everything else that cellmm wrote there
_DIGEST = "cellmm_sha256"


def read_safetensors(filename: str, map_location: str | torch.device) -> dict:
    """Return ``state_dict`` and ``meta`` of a safetensors file.

    Raises:
        CellMMError: the file is damaged, or cellmm wrote it and its digest is wrong.
    """
    safe_open, _ = safetensors_functions(filename)
    try:
        with safe_open(filename, framework="pt", device=str(map_location)) as file:
            weights = {name: file.get_tensor(name) for name in file.keys()}
            notes = file.metadata() or {}
            # found by its content: a flipped bit in the key "cellmm" must not hide it
            text = next((note for note in notes.values() if _DIGEST in note), notes.get("cellmm", "{}"))
            meta = json.loads(text)
        digest = meta.pop(_DIGEST, None)
        if digest is not None and digest != _digest(weights, meta):
            raise ValueError("the digest is wrong")
    except Exception as error:  # a damaged file can fail anywhere inside the reader
        raise CellMMError(
            f"{filename}: not a whole safetensors file, it is damaged, cut off or of another kind; fetch it "
            "again"
        ) from error
    return dict(state_dict=weights, meta=meta)


def safetensors_metadata(weights: Mapping[str, torch.Tensor], meta: dict) -> dict[str, str]:
    """The metadata that cellmm writes into the file: ``meta`` and the digest, as one JSON text."""
    return dict(cellmm=json.dumps(meta | {_DIGEST: _digest(weights, meta)}))


def safetensors_functions(filename: str | Path) -> tuple:
    """``safe_open`` and ``save_file`` of safetensors.

    Raises:
        CellMMError: safetensors is not installed; the message names ``filename``.
    """
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
