"""Remove masks that repeat a better one."""

from collections.abc import Sequence

import numpy as np
import torch
from scipy import sparse
from torch import Tensor


def mask_nms(masks: Tensor, iou_thr: float, labels: Tensor | None = None) -> Tensor:
    """Greedy non-maximum suppression by mask IoU: indices of the masks that stay, int64, in their order.

    A mask is dropped if its IoU with an earlier mask that stays is above ``iou_thr``.

    Args:
        masks: bool (N, H, W), best first.
        iou_thr: in [0, 1]; well above what true cells share, since overlap is no repetition.
        labels: (N,); masks of two classes never repeat each other. None: one class.
    """
    flat = masks.flatten(1).float()
    return _first_of_each(_shared(flat, labels), flat.sum(1), iou_thr)


def matrix_nms(masks: Tensor, scores: Tensor, sigma: float = 2.0, labels: Tensor | None = None) -> Tensor:
    """Scores (N,) lowered by how much of a better mask each repeats, all pairs in one matrix product.

    s_j * min over the better masks i of exp(-sigma IoU_ij^2) / exp(-sigma max IoU_i.^2), where max IoU_i. is
    that of i with one better still: a mask that is a repetition itself lowers others less. Source: Wang et
    al., SOLOv2 (3.2); what sparseseunet 6 asks for: no mask shape twice.

    Args:
        masks: bool (N, H, W), best first.
        scores: float (N,), falling.
        sigma: a mask that repeats a unique better one wholly keeps exp(-sigma) of its score.
        labels: as in ``mask_nms``.
    """
    if not len(masks):
        return scores
    flat = masks.flatten(1).float()
    shared, area = _shared(flat, labels), flat.sum(1)
    iou = (shared / (area[:, None] + area[None] - shared).clamp(min=1)).triu(1)  # row: the better one
    decay = torch.exp(-sigma * (iou**2 - iou.amax(0)[:, None] ** 2))
    return scores * decay.amin(0).clamp(max=1)


def _shared(flat: Tensor, labels: Tensor | None) -> Tensor:
    """Pixels that each two masks of one class share: (N, P) -> (N, N)."""
    shared = flat @ flat.T
    return shared if labels is None else shared * (labels[:, None] == labels)


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
    pairs = sparse.triu(table @ table.T, k=1).tocsc()  # column: the later one
    shared = torch.from_numpy(pairs.data)
    earlier = torch.from_numpy(pairs.indices.astype(np.int64))
    later = torch.from_numpy(np.repeat(np.arange(len(area)), np.diff(pairs.indptr)))
    repeats = shared > iou_thr * (area[later] + area[earlier] - shared).clamp(min=1)
    stays = np.ones(len(area), dtype=bool)
    for i, j in zip(earlier[repeats].tolist(), later[repeats].tolist(), strict=True):
        stays[j] &= not stays[i]
    return torch.from_numpy(np.flatnonzero(stays)).to(origins.device)


def _first_of_each(shared: Tensor, area: Tensor, iou_thr: float) -> Tensor:
    repeats = (shared > iou_thr * (area[:, None] + area[None] - shared).clamp(min=1)).cpu()
    stays = torch.ones(len(area), dtype=torch.bool)
    for i in range(1, len(area)):
        stays[i] = not (repeats[i, :i] & stays[:i]).any()
    return stays.nonzero().flatten().to(shared.device)
