"""Training and testing on mmengine: the Runner, exact resume, checkpoints, mixed precision, hooks."""

from cellmm.engine.averaged_weights import ExponentialMovingAverage
from cellmm.engine.hooks import (
    CheckpointHook,
    EarlyStoppingHook,
    EMAHook,
    NonFiniteHook,
    OverlayHook,
    ResumeHook,
    TrainedOnHook,
    WeightsOnlyHook,
)
from cellmm.engine.loops import EpochBasedTrainLoop, IterBasedTrainLoop
from cellmm.engine.mmengine_fixes.ddp import CellDistributedDataParallel, PartsDistributedDataParallel
from cellmm.engine.mmengine_fixes.optim_wrappers import AmpOptimWrapper, OptimWrapper
from cellmm.engine.part_optimizers import OptimWrapperDict, PartsOptimWrapperConstructor

__all__ = [
    "AmpOptimWrapper",
    "CellDistributedDataParallel",
    "CheckpointHook",
    "EarlyStoppingHook",
    "EMAHook",
    "ExponentialMovingAverage",
    "EpochBasedTrainLoop",
    "IterBasedTrainLoop",
    "NonFiniteHook",
    "OptimWrapper",
    "OptimWrapperDict",
    "PartsDistributedDataParallel",
    "PartsOptimWrapperConstructor",
    "WeightsOnlyHook",
    "ResumeHook",
    "OverlayHook",
    "TrainedOnHook",
]
