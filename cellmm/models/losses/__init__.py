from cellmm.models.losses.mask_losses import DiceLoss, MaskBCELoss, SigmoidFocalLoss

__all__ = ["DiceLoss", "MaskBCELoss", "SigmoidFocalLoss"]
