"""Several trained models as one: all see the same inputs, and what they find is merged."""

import copy
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path

from mmengine.config import Config
from torch import Tensor

from cellmm.config.load import load_config
from cellmm.engine.checkpoints import load_checkpoint, load_fitting
from cellmm.errors import CellMMError
from cellmm.models import CellSegmentor
from cellmm.zoo import resolve_model
from cellmm.zoo.packages import is_package

NO_PACKAGE = "an exported model cannot be part of an ensemble; give its checkpoint"
Member = tuple[str | Path, str | Path | None]


def add_members(cfg: Config, members: Sequence[Member]) -> list[tuple[Path, dict]]:
    """Write further models into ``cfg.model.ensemble``; returns the file and the content of each checkpoint.

    Args:
        cfg: of the first model. Its pipeline and its options of prediction (tiles, views) hold for all, with
            what ``--cfg-options`` changed in them.
        members: (config, checkpoint) of each further model; without a checkpoint, what ``resolve_model``
            takes.

    Raises:
        CellMMError: images come to a model in another way than to the first one, or it is a package.
    """
    checkpoints, configs = [], []
    written = load_config(cfg.filename) if cfg.filename else cfg
    for config, checkpoint in members:
        if checkpoint is None:
            config, checkpoint = resolve_model(config)
        if checkpoint is None:
            raise CellMMError(f"{config}: its model has no weights, and an ensemble averages networks")
        if is_package(config):
            raise CellMMError(f"{config}: {NO_PACKAGE}")
        other = load_config(config)
        if not other.get("test_dataloader"):
            raise CellMMError(f"{config}: no test_dataloader, by which images come to the model; add it")
        if _steps(other) != _steps(written):
            _check_steps(cfg, other, checkpoint)
        configs.append(other.model.to_dict() if hasattr(other.model, "to_dict") else dict(other.model))
        checkpoints.append((Path(checkpoint), load_checkpoint(checkpoint)))
    cfg.model.ensemble = [{k: v for k, v in copy.deepcopy(c).items() if k != "ensemble"} for c in configs]
    return checkpoints


def load_members(
    model: CellSegmentor,
    checkpoint: str | Path,
    weights: Mapping[str, Tensor],
    others: Sequence[tuple[Path, dict]],
    classes: Sequence[str] | None,
) -> None:
    """Load the ``weights`` of the first model and those of ``others``, which ``add_members`` read.

    Args:
        classes: those of the first model's checkpoint; None: it names none.

    Raises:
        CellMMError: weights that do not fit their model, or of other classes than the first.
    """
    for member, (path, content) in zip(model.ensemble, others, strict=True):
        theirs = (content["meta"].get("dataset_meta") or {}).get("classes")
        if classes and theirs and tuple(theirs) != tuple(classes):
            raise CellMMError(
                f"{path}: finds the classes {', '.join(theirs)}, and the first model {', '.join(classes)}; "
                "the models of an ensemble must find the same"
            )
        load_fitting(member, path, content["state_dict"])
    own = {f"ensemble.{name}": value for name, value in model.ensemble.state_dict().items()}
    load_fitting(model, checkpoint, {**weights, **own})


def _check_steps(cfg: Config, other: Config, name: str | Path) -> None:
    """Refuse a model to which images come in another way."""
    for ours, theirs in zip_longest(_steps(cfg), _steps(other)):
        if ours != theirs:
            raise CellMMError(
                f"{name}: images come to this model in another way than to the first one: {theirs} in place "
                f"of {ours} in test_dataloader.dataset.pipeline; train the models of an ensemble with the "
                "same steps of test"
            )


def _steps(cfg: Config) -> list[dict]:
    """How images come to the model of a config."""
    return [dict(step) for step in cfg.test_dataloader.dataset.pipeline if step.get("type") != "LoadCells"]
