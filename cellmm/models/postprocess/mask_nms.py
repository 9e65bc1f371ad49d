"""Remove masks that repeat a better one."""

import torch
from torch import Tensor


def mask_nms(masks: Tensor, iou_thr: float) -> Tensor:
    """Greedy non-maximum suppression by mask IoU: indices of the masks that stay, int64, in their order.

    A mask is dropped if its IoU with an earlier mask that stays is above ``iou_thr``.

    Args:
        masks: bool (N, H, W), best first.
        iou_thr: in [0, 1]; well above what true cells share, since overlap is no repetition.
    """
    flat = masks.flatten(1).float()
    shared = flat @ flat.T
    area = flat.sum(1)
    repeats = shared > iou_thr * (area[:, None] + area[None] - shared).clamp(min=1)
    stays = torch.ones(len(masks), dtype=torch.bool)
    repeats = repeats.cpu()
    for i in range(1, len(masks)):
        stays[i] = not (repeats[i, :i] & stays[:i]).any()
    return stays.nonzero().flatten().to(masks.device)
