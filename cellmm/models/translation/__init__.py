"""Image-to-image translation: pix2pix and its parts."""

from cellmm.models.translation.linear_filter import fit_linear_filter
from cellmm.models.translation.patch_gan_discriminator import PatchGANDiscriminator, receptive_field
from cellmm.models.translation.pix2pix import Pix2Pix
from cellmm.models.translation.unet_generator import UNetGenerator

__all__ = ["PatchGANDiscriminator", "Pix2Pix", "UNetGenerator", "fit_linear_filter", "receptive_field"]
