from cellmm.models.decoders.unet_decoder import SEUNetDecoder

__all__ = ["SEUNetDecoder"]
