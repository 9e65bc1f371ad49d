from cellmm.models.layers.blocks import (
    ConvNormAct,
    ConvStack,
    SqueezeExcite,
    Upsample,
    coordinate_channels,
    norm_layer,
)
from cellmm.models.layers.deco_net import DecoNet
from cellmm.models.layers.pixel_grid import PixelGrid, UNetGrids
from cellmm.models.layers.query_refiner import QueryRefiner, masked_average

__all__ = [
    "ConvNormAct",
    "ConvStack",
    "DecoNet",
    "PixelGrid",
    "QueryRefiner",
    "SqueezeExcite",
    "UNetGrids",
    "Upsample",
    "coordinate_channels",
    "masked_average",
    "norm_layer",
]
