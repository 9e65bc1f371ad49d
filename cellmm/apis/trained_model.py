"""A model with its weights and the steps that images take to it, without a Runner."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from cellmm.apis.ensemble import NO_PACKAGE, Member, add_members, load_members
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
from cellmm.zoo import check_weights, resolve_model
from cellmm.zoo.packages import Package, is_package, read_package
from cellmm.zoo.packages.run import config_of, model_of, weights_of


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
    *,
    fuse: bool = True,
    ensemble: Sequence[Member] = (),
) -> TrainedModel:
    """Build the model of a config and load its weights, if it has any; see CellInferencer for the arguments.

    ``fuse``: False: leave the layers as they were trained.

    Raises:
        CellMMError: an absent or damaged file, no weights or those of another model, no such device.
    """
    if checkpoint is None and not isinstance(config, Config):
        config, checkpoint = resolve_model(config)
    if not isinstance(config, Config) and is_package(config):
        if ensemble:
            raise CellMMError(f"{config}: {NO_PACKAGE}")
        return _of_package(read_package(config), device, cfg_options)
    cfg = _load(config, cfg_options)
    dataset = (cfg.get("test_dataloader") or {}).get("dataset", {})
    if "model" not in cfg or "pipeline" not in dataset:
        raise CellMMError(
            f"{cfg.filename or 'the config'}: no model or no test_dataloader.dataset.pipeline; "
            "give the config that the model was trained with"
        )
    check_weights(cfg.model, cfg.filename or "the config", checkpoint, give="give a checkpoint of it")
    if checkpoint is None and ensemble:
        raise CellMMError(f"{cfg.model.type} has no weights, and an ensemble averages networks: leave it out")
    steps = _steps(dataset.pipeline)
    others = add_members(cfg, ensemble) if ensemble else []
    model = build("model", lambda: MODELS.build(cfg.model), cfg.model)
    content = dict(meta={}, state_dict={}) if checkpoint is None else load_checkpoint(checkpoint)
    meta = content["meta"]
    trained = meta.get("dataset_meta") or {}
    if others:
        load_members(model, checkpoint, content["state_dict"], others, trained.get("classes"))
    elif checkpoint is not None:
        load_fitting(model, checkpoint, content["state_dict"])
    cls = component_of(dataset, "DATASETS")
    metainfo = dataset.get("metainfo") or getattr(cls, "METAINFO", CellDataset.METAINFO)
    named = trained if trained.get("classes") else metainfo
    return _trained(cfg, model, steps, named, TrainedOn.from_meta(meta, checkpoint), device, fuse)


def _of_package(package: Package, device: str, cfg_options: dict | None) -> TrainedModel:
    """As ``load_trained``, of a package of ``cellmm export``."""
    cfg = config_of(package, cfg_options)
    steps = _steps(cfg.test_dataloader.dataset.pipeline)
    if package.kind == "torch":
        model = build("model", lambda: MODELS.build(cfg.model), cfg.model)
        load_fitting(model, package.path, weights_of(package))
    else:
        model = build("model", lambda: model_of(package, cfg, device), cfg.model)
        device = None
    seen = TrainedOn.from_meta(package.content, package.path)
    named, fuse = cfg.test_dataloader.dataset.metainfo, package.kind == "torch"
    return _trained(cfg, model, steps, named, seen, device, fuse)


def _steps(pipeline: list) -> list[Callable]:
    key = "test_dataloader.dataset.pipeline"
    check_pipeline(pipeline, key)
    steps = build(key, lambda: [TRANSFORMS.build(step) for step in pipeline], pipeline)
    return [step for step in steps if not TransformContract.of(step).annotation_only]


def _trained(
    cfg: Config,
    model: torch.nn.Module,
    steps: list[Callable],
    named: Mapping,
    trained_on: TrainedOn | None,
    device: str | None,
    fuse: bool,
) -> TrainedModel:
    """``named``: has the classes and, perhaps, their category ids. ``device``: None: the model has no weights
    to move, and takes and gives tensors of the processor."""
    tell_channels(steps, model)
    if fuse and hasattr(model, "fuse_for_inference"):
        model = model.fuse_for_inference()
    if device is not None:
        _move(model, device)
    return TrainedModel(
        cfg=cfg,
        model=model.eval(),
        steps=steps,
        classes=tuple(named["classes"]),
        category_ids=tuple(category_ids(named)),
        trained_on=trained_on,
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
