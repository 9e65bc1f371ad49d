"""Image-to-image translation: pix2pix and its parts."""

from cellmm.models.translation.patch_gan_discriminator import PatchGANDiscriminator, receptive_field
from cellmm.models.translation.unet_generator import UNetGenerator

__all__ = ["PatchGANDiscriminator", "UNetGenerator", "receptive_field"]
