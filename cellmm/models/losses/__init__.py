from cellmm.models.losses.element_losses import BCELoss, CrossEntropyLoss, MSELoss, SigmoidFocalLoss
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
    "MSELoss",
    "MaskBCELoss",
    "ProximityFocalLoss",
    "ProximityTargetFocalLoss",
    "ProximityWeightFocalLoss",
    "SigmoidFocalLoss",
]
