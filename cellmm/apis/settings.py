"""What a run of prediction depends on, in a form that two runs can be compared by."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cellmm
from cellmm.apis.inferencer import CellInferencer
from cellmm.apis.trained_model import TrainedModel

CHUNK = 2**20  # bytes


def settings_of(
    inferencer: CellInferencer | TrainedModel,
    checkpoint: str | Path | None,
    options: Mapping[str, Any],
    ensemble: Sequence[Sequence[str | Path]] = (),
) -> dict[str, str]:
    """{what a user knows it as: its value, or a hash of it}.

    Args:
        checkpoint: None: the model has no weights.
        options: further choices on which the results depend, by the names of their options.
        ensemble: (config, checkpoint) of further models.
    """
    dataset = inferencer.cfg.test_dataloader.dataset
    used = dict(model=inferencer.cfg.model, pipeline=dataset.pipeline, metainfo=dataset.get("metainfo"))
    text = json.dumps(used, default=_name, sort_keys=True)
    return {
        "version of cellmm": cellmm.__version__,
        "--config": hashlib.sha256(text.encode()).hexdigest(),
        "--checkpoint": "none" if checkpoint is None else _hash(checkpoint),
        **{f"--model {number}": _hash(path) for number, (_, path) in enumerate(ensemble, start=2)},
        **{name: str(value) for name, value in options.items()},
    }


def _name(value: Any) -> str:
    """A class or function of a config, by its name; anything else as Python shows it."""
    if hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    return repr(value)


def _hash(path: str | Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
