from cellmm.models.decoders.enco_net_decoder import EncoNetDecoder
from cellmm.models.decoders.fpn_decoder import FPNDecoder
from cellmm.models.decoders.parallel_decoders import ParallelDecoders
from cellmm.models.decoders.unet_decoder import SEUNetDecoder

__all__ = ["EncoNetDecoder", "FPNDecoder", "ParallelDecoders", "SEUNetDecoder"]
