from cellmm.engine.hooks.checkpoint_hook import CheckpointHook
from cellmm.engine.hooks.early_stopping_hook import EarlyStoppingHook
from cellmm.engine.hooks.ema_hook import EMAHook
from cellmm.engine.hooks.first_checkpoint_hook import FirstCheckpointHook
from cellmm.engine.hooks.learning_alarm_hook import LearningAlarmHook
from cellmm.engine.hooks.non_finite_hook import NonFiniteHook
from cellmm.engine.hooks.plain_checkpoint_hook import PlainCheckpointHook
from cellmm.engine.hooks.progress_hook import ProgressHook
from cellmm.engine.hooks.resume_hook import ResumeHook
from cellmm.engine.hooks.show_hook import ShowHook
from cellmm.engine.hooks.trained_on_hook import CompareWithTrainingHook, TrainedOnHook

__all__ = [
    "CompareWithTrainingHook",
    "CheckpointHook",
    "EMAHook",
    "EarlyStoppingHook",
    "FirstCheckpointHook",
    "LearningAlarmHook",
    "NonFiniteHook",
    "PlainCheckpointHook",
    "ResumeHook",
    "ProgressHook",
    "ShowHook",
    "TrainedOnHook",
]
