from cellmm.models.encoders.resnet_encoder import ResNetEncoder
from cellmm.models.encoders.se_unet_encoder import SEUNetEncoder

__all__ = ["ResNetEncoder", "SEUNetEncoder"]
