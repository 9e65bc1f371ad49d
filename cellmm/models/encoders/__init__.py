from cellmm.models.encoders.se_unet_encoder import SEUNetEncoder

__all__ = ["SEUNetEncoder"]
