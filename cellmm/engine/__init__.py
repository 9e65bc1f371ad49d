"""What makes mmengine right on today's torch: hooks, mixed precision, loading, the Runner."""

from cellmm.engine.amp import CellAmpOptimWrapper
from cellmm.engine.ddp import CellDistributedDataParallel
from cellmm.engine.hooks import SafeCheckpointHook, ShowHook

__all__ = ["CellAmpOptimWrapper", "CellDistributedDataParallel", "SafeCheckpointHook", "ShowHook"]
