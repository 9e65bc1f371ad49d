from cellmm.engine.hooks.safe_checkpoint_hook import SafeCheckpointHook
from cellmm.engine.hooks.show_hook import ShowHook

__all__ = ["SafeCheckpointHook", "ShowHook"]
