from cellmm.models.classical.declumping import Declumping
from cellmm.models.classical.segmentor import ClassicalSegmentor, refuse_training
from cellmm.models.classical.thresholds import Threshold

__all__ = ["ClassicalSegmentor", "Declumping", "Threshold", "refuse_training"]
