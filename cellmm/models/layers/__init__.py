from cellmm.models.layers.activation_checkpointing import CheckpointedSequential
from cellmm.models.layers.blocks import (
    ConvNormAct,
    ConvStack,
    SqueezeExcite,
    Upsample,
    coordinate_channels,
    norm_layer,
)
from cellmm.models.layers.deco_net import DecoNet
from cellmm.models.layers.mask_kernels import mask_logits
from cellmm.models.layers.pixel_grid import PixelGrid, UNetGrids
from cellmm.models.layers.query_layer import MaskedAttention, QueryLayer, seen_through
from cellmm.models.layers.query_refiner import QueryRefiner, masked_average
from cellmm.models.layers.sine_code import sine_code
from cellmm.models.layers.top_down_branch import TopDownBranch

__all__ = [
    "ConvNormAct",
    "ConvStack",
    "DecoNet",
    "TopDownBranch",
    "MaskedAttention",
    "PixelGrid",
    "QueryLayer",
    "QueryRefiner",
    "CheckpointedSequential",
    "SqueezeExcite",
    "UNetGrids",
    "Upsample",
    "coordinate_channels",
    "mask_logits",
    "masked_average",
    "norm_layer",
    "seen_through",
    "sine_code",
]
