from cellmm.models import decoders, encoders, heads, losses, matching, postprocess
from cellmm.models.preprocessor import CellDataPreprocessor
from cellmm.models.segmentor import CellSegmentor

__all__ = [
    "CellDataPreprocessor",
    "CellSegmentor",
    "decoders",
    "encoders",
    "heads",
    "losses",
    "matching",
    "postprocess",
]
