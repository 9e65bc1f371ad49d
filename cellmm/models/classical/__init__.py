from cellmm.models.classical.declumping import Declumping
from cellmm.models.classical.segmentor import ClassicalSegmentor
from cellmm.models.classical.thresholds import Threshold

__all__ = ["ClassicalSegmentor", "Declumping", "Threshold"]
