from cellmm.models.losses.element_losses import BCELoss, CrossEntropyLoss, L1Loss, MSELoss, SigmoidFocalLoss
from cellmm.models.losses.mask_losses import DiceLoss, MaskBCELoss
from cellmm.models.losses.proximity_losses import (
    ProximityFocalLoss,
    ProximityTargetFocalLoss,
    ProximityWeightFocalLoss,
)

__all__ = [
    "BCELoss",
    "CrossEntropyLoss",
    "DiceLoss",
    "L1Loss",
    "MSELoss",
    "MaskBCELoss",
    "ProximityFocalLoss",
    "ProximityTargetFocalLoss",
    "ProximityWeightFocalLoss",
    "SigmoidFocalLoss",
]
