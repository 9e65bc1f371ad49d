"""What cellmm adds to a checkpoint so that training can be resumed with another config."""

import mmengine.hooks
from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner

from cellmm.engine.loops import NumberedTrainLoop
from cellmm.engine.resumed_config import config_json
from cellmm.registry import HOOKS


@HOOKS.register_module()
class ResumeHook(Hook):
    """Note the config, the number of ranks and the draws in checkpoints, and go on from them.

    - ``trained_with``: the config as JSON, and the number of ranks.
    - ``meta.draws``: how many images were drawn so far. With another batch size or number of ranks training
      goes on with the next one. ``meta.epoch_start``: how many of them before the present epoch.
    - Where averaged weights are no longer asked for, training goes on with the weights that were trained:
      a checkpoint with both holds the average under ``state_dict``.
    """

    priority = "VERY_LOW"

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        checkpoint["trained_with"] = dict(config=config_json(runner.cfg), ranks=get_world_size())
        if isinstance(runner.train_loop, NumberedTrainLoop):
            meta = checkpoint["meta"]
            meta.update(runner.train_loop.position(meta["iter"], meta.get("epoch")))

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        if not runner._resume:
            return
        meta = checkpoint["meta"]
        if "draws" in meta and isinstance(runner.train_loop, NumberedTrainLoop):
            keys = ("draws", "epoch_start")
            runner.train_loop.go_on_after(meta["iter"], **{key: meta[key] for key in keys if key in meta})
        if not any(isinstance(hook, mmengine.hooks.EMAHook) for hook in runner.hooks):
            for name, value in checkpoint.get("ema_state_dict", {}).items():
                if name.startswith("module."):
                    checkpoint["state_dict"][name.removeprefix("module.")] = value
