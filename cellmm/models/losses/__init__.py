from cellmm.models.losses.mask_losses import DiceLoss, MaskBCELoss, SigmoidFocalLoss
from cellmm.models.losses.pixel_losses import PixelBCELoss, ProximityFocalLoss

__all__ = ["DiceLoss", "MaskBCELoss", "PixelBCELoss", "ProximityFocalLoss", "SigmoidFocalLoss"]
