from cellmm.engine.amp import CellAmpOptimWrapper
from cellmm.engine.hooks import SafeCheckpointHook

__all__ = ["CellAmpOptimWrapper", "SafeCheckpointHook"]
