from cellmm.models import classical, decoders, encoders, heads, losses, matching, postprocess, translation
from cellmm.models.feature_spec import FeatureSpec, feature_pyramid
from cellmm.models.preprocessor import CellDataPreprocessor
from cellmm.models.segmentor import CellSegmentor
from cellmm.models.tiled_prediction import TiledPrediction, predict_in_tiles

__all__ = [
    "CellDataPreprocessor",
    "CellSegmentor",
    "FeatureSpec",
    "TiledPrediction",
    "classical",
    "decoders",
    "encoders",
    "feature_pyramid",
    "heads",
    "losses",
    "matching",
    "postprocess",
    "predict_in_tiles",
    "translation",
]
