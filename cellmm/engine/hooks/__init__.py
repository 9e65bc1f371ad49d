"""What happens around the steps of a training or test: each module is one hook."""

from cellmm.engine.hooks.contact_sheet_hook import ContactSheetHook
from cellmm.engine.hooks.ema_hook import EMAHook
from cellmm.engine.hooks.first_checkpoint_hook import FirstCheckpointHook
from cellmm.engine.hooks.learning_alarm_hook import LearningAlarmHook
from cellmm.engine.hooks.non_finite_hook import NonFiniteHook
from cellmm.engine.hooks.overlay_hook import OverlayHook
from cellmm.engine.hooks.pause_hook import PauseHook
from cellmm.engine.hooks.progress_hook import ProgressHook
from cellmm.engine.hooks.resume_hook import ResumeHook
from cellmm.engine.hooks.time_budget_hook import TimeBudgetHook
from cellmm.engine.hooks.train_metrics_hook import TrainMetricsHook
from cellmm.engine.hooks.trained_on_hook import CompareWithTrainingHook, TrainedOnHook
from cellmm.engine.hooks.training_report_hook import TrainingReportHook
from cellmm.engine.hooks.validation_pictures_hook import ValidationPicturesHook
from cellmm.engine.mmengine_fixes.checkpoint_hook import CheckpointHook
from cellmm.engine.mmengine_fixes.early_stopping_hook import EarlyStoppingHook
from cellmm.engine.mmengine_fixes.weights_only_hook import WeightsOnlyHook

__all__ = [
    "CheckpointHook",
    "CompareWithTrainingHook",
    "ContactSheetHook",
    "EMAHook",
    "EarlyStoppingHook",
    "FirstCheckpointHook",
    "LearningAlarmHook",
    "NonFiniteHook",
    "OverlayHook",
    "PauseHook",
    "ProgressHook",
    "ResumeHook",
    "TimeBudgetHook",
    "TrainMetricsHook",
    "TrainedOnHook",
    "TrainingReportHook",
    "ValidationPicturesHook",
    "WeightsOnlyHook",
]
