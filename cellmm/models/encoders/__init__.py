from cellmm.models.encoders.resnet_encoder import ResNetEncoder
from cellmm.models.encoders.se_unet_encoder import SEUNetEncoder
from cellmm.models.encoders.timm_encoder import TimmEncoder
from cellmm.models.encoders.vgg_encoder import VGGEncoder

__all__ = ["ResNetEncoder", "SEUNetEncoder", "TimmEncoder", "VGGEncoder"]
