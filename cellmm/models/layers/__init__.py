from cellmm.models.layers.blocks import (
    ConvNormAct,
    ConvStack,
    SqueezeExcite,
    coordinate_channels,
    norm_layer,
)
from cellmm.models.layers.query_refiner import QueryRefiner, masked_average

__all__ = [
    "ConvNormAct",
    "ConvStack",
    "QueryRefiner",
    "SqueezeExcite",
    "coordinate_channels",
    "masked_average",
    "norm_layer",
]
