"""From a config file to an mmengine Runner that is right on today's torch."""

import os
from pathlib import Path

import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from cellmm.engine.checkpoint import use_safe_loader
from cellmm.errors import CellMMError


def load_config(path: str | Path, cfg_options: dict | None = None) -> Config:
    """Read a Python config with its ``_base_`` files. Configs are code: only read those you trust.

    Raises:
        CellMMError: the file is absent or is not a config.
    """
    if not Path(path).is_file():
        raise CellMMError(f"{path}: no such config file")
    try:
        cfg = Config.fromfile(str(path))
    except (SyntaxError, AssertionError, OSError, KeyError, TypeError, NameError) as error:
        raise CellMMError(f"{path}: not a usable config: {error}") from error
    if cfg_options:
        cfg.merge_from_dict(cfg_options)
    init_default_scope(cfg.get("default_scope", "cellmm"))
    return cfg


def start_distributed(launcher: str) -> None:
    """Join the process group with gloo where there is no GPU; mmengine's own start needs CUDA."""
    if launcher == "pytorch" and not torch.cuda.is_available() and not dist.is_initialized():
        dist.init_process_group("gloo")


def build_runner(cfg: Config) -> Runner:
    """A Runner whose checkpoints are read with weights_only=True and that runs DDP without a GPU too."""
    use_safe_loader()
    start_distributed(cfg.get("launcher", "none"))
    if cfg.get("launcher", "none") != "none" and not torch.cuda.is_available():
        cfg.setdefault("model_wrapper_cfg", dict(type="cellmm.CellDistributedDataParallel"))
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    return Runner.from_cfg(cfg)
