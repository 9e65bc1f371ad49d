"""mmengine's checkpoint loading through ``load_checkpoint``."""

import torch
from mmengine.runner.checkpoint import CheckpointLoader

from cellmm.engine.checkpoints import load_checkpoint


def use_safe_loader() -> None:
    """Send all of mmengine's loading (resume, load_from, init_cfg) through ``load_checkpoint``."""

    def load_from_safe(filename: str, map_location: str | torch.device | None = None) -> dict:
        return load_checkpoint(filename, map_location)

    for prefix in ["", *CheckpointLoader._schemes]:
        CheckpointLoader.register_scheme(prefix, load_from_safe, force=True)
