"""A model with its weights and the steps that images take to it, without a Runner."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from cellmm.config.check import check_pipeline
from cellmm.config.load import load_config
from cellmm.config.lookup import component_of
from cellmm.datasets import CellDataset
from cellmm.datasets.transforms import TransformContract
from cellmm.engine.checkpoints import load_checkpoint, load_fitting
from cellmm.engine.preflight import build, tell_channels
from cellmm.engine.trained_on import TrainedOn
from cellmm.errors import CellMMError
from cellmm.io.coco_categories import category_ids
from cellmm.plugins import load_plugins
from cellmm.registry import MODELS, TRANSFORMS
from cellmm.zoo import resolve_model


@dataclass(frozen=True)
class TrainedModel:
    """What a config and a checkpoint make.

    Args:
        cfg: the config with its changes.
        model: on its device, in eval mode, fused for inference if it can be.
        steps: of the test pipeline, without those that only concern annotations; the first reads the image.
        classes: the names of the labels.
        category_ids: their ids in the annotation that was trained on.
        trained_on: what the checkpoint says about the images of training; None if it says nothing.
    """

    cfg: Config
    model: torch.nn.Module
    steps: list[Callable]
    classes: tuple[str, ...]
    category_ids: tuple[int, ...]
    trained_on: TrainedOn | None


def load_trained(
    config: str | Path | Config,
    checkpoint: str | Path | None = None,
    device: str = "auto",
    cfg_options: dict | None = None,
) -> TrainedModel:
    """Build the model of a config and load its weights; see CellInferencer for the arguments.

    Raises:
        CellMMError: an absent or damaged file, weights of another model, a device that does not exist.
    """
    if checkpoint is None:
        config, checkpoint = resolve_model(config)
    cfg = _load(config, cfg_options)
    dataset = (cfg.get("test_dataloader") or {}).get("dataset", {})
    if "model" not in cfg or "pipeline" not in dataset:
        raise CellMMError(
            f"{cfg.filename or 'the config'}: no model or no test_dataloader.dataset.pipeline; "
            "give the config that the model was trained with"
        )
    key = "test_dataloader.dataset.pipeline"
    check_pipeline(dataset.pipeline, key)
    steps = build(key, lambda: [TRANSFORMS.build(step) for step in dataset.pipeline], dataset.pipeline)
    steps = [step for step in steps if not TransformContract.of(step).annotation_only]
    model = build("model", lambda: MODELS.build(cfg.model), cfg.model)
    tell_channels(steps, model)
    content = load_checkpoint(checkpoint)
    load_fitting(model, checkpoint, content["state_dict"])
    meta = content["meta"]
    trained = meta.get("dataset_meta") or {}
    cls = component_of(dataset, "DATASETS")
    metainfo = dataset.get("metainfo") or getattr(cls, "METAINFO", CellDataset.METAINFO)
    named = trained if trained.get("classes") else metainfo
    if hasattr(model, "fuse_for_inference"):
        model = model.fuse_for_inference()
    _move(model, device)
    return TrainedModel(
        cfg=cfg,
        model=model.eval(),
        steps=steps,
        classes=tuple(named["classes"]),
        category_ids=tuple(category_ids(named)),
        trained_on=TrainedOn.from_meta(meta, checkpoint),
    )


def _load(config: str | Path | Config, changes: dict | None) -> Config:
    if not isinstance(config, Config):
        return load_config(config, changes)
    cfg = copy.deepcopy(config)
    cfg.merge_from_dict(changes or {})
    init_default_scope(cfg.get("default_scope", "cellmm"))
    load_plugins()
    return cfg


def _move(model: torch.nn.Module, device: str) -> None:
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        model.to(device)
    except (RuntimeError, AssertionError) as error:  # torch raises either for a device that does not exist
        raise CellMMError(f"device {device!r} cannot be used: {str(error).splitlines()[0]}") from error
