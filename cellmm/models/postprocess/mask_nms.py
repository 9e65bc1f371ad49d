"""Remove masks that repeat a better one."""

from collections.abc import Sequence

import numpy as np
import torch
from scipy import sparse
from torch import Tensor


def mask_nms(masks: Tensor, iou_thr: float) -> Tensor:
    """Greedy non-maximum suppression by mask IoU: indices of the masks that stay, int64, in their order.

    A mask is dropped if its IoU with an earlier mask that stays is above ``iou_thr``.

    Args:
        masks: bool (N, H, W), best first.
        iou_thr: in [0, 1]; well above what true cells share, since overlap is no repetition.
    """
    flat = masks.flatten(1).float()
    return _first_of_each(flat @ flat.T, flat.sum(1), iou_thr)


def window_nms(masks: Sequence[Tensor], origins: Tensor, iou_thr: float) -> Tensor:
    """``mask_nms`` of masks that are windows: bool (h_i, w_i) from pixel ``origins[i]`` (N, 2) on."""
    pixels = [one.nonzero().cpu() + origin for one, origin in zip(masks, origins.cpu(), strict=True)]
    area = torch.tensor([len(one) for one in pixels], dtype=torch.float32)
    if not len(pixels):
        return torch.zeros(0, dtype=torch.long, device=origins.device)
    every = torch.cat(pixels)
    every = every - every.amin(0, keepdim=True) if len(every) else every
    width = int(every[:, 1].max()) + 1 if len(every) else 1
    owner = torch.arange(len(pixels)).repeat_interleave(area.long())
    column = every[:, 0] * width + every[:, 1]
    shape = len(pixels), int(column.max()) + 1 if len(every) else 1
    table = sparse.csr_matrix((np.ones(len(every), np.float32), (owner.numpy(), column.numpy())), shape)
    shared = torch.from_numpy((table @ table.T).toarray())
    return _first_of_each(shared, area, iou_thr).to(origins.device)


def _first_of_each(shared: Tensor, area: Tensor, iou_thr: float) -> Tensor:
    repeats = (shared > iou_thr * (area[:, None] + area[None] - shared).clamp(min=1)).cpu()
    stays = torch.ones(len(area), dtype=torch.bool)
    for i in range(1, len(area)):
        stays[i] = not (repeats[i, :i] & stays[:i]).any()
    return stays.nonzero().flatten().to(shared.device)
