from cellmm.engine.hooks.checkpoint_hook import CheckpointHook
from cellmm.engine.hooks.early_stopping_hook import EarlyStoppingHook
from cellmm.engine.hooks.ema_hook import EMAHook
from cellmm.engine.hooks.non_finite_hook import NonFiniteHook
from cellmm.engine.hooks.plain_checkpoint_hook import PlainCheckpointHook
from cellmm.engine.hooks.resume_hook import ResumeHook
from cellmm.engine.hooks.show_hook import ShowHook

__all__ = [
    "CheckpointHook",
    "EMAHook",
    "EarlyStoppingHook",
    "NonFiniteHook",
    "PlainCheckpointHook",
    "ResumeHook",
    "ShowHook",
]
