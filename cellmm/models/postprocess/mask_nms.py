"""Which masks repeat a better one, by their IoU."""

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
        iou_thr: in [0, 1]; well above what true cells share, since overlap is not repetition.
        labels: (N,); masks of different classes never repeat each other. None: all are of one class.

    >>> masks = torch.tensor([[[1, 1, 1, 0]], [[1, 1, 0, 0]], [[0, 0, 1, 1]]]).bool()
    >>> mask_nms(masks, iou_thr=0.5)
    tensor([0, 2])
    """
    flat = masks.flatten(1).float()
    shared, area = _shared(flat, labels), flat.sum(1)
    repeats = (shared > iou_thr * (area[:, None] + area[None] - shared).clamp(min=1)).cpu()
    stays = torch.ones(len(area), dtype=torch.bool)
    for i in range(1, len(area)):
        stays[i] = not (repeats[i, :i] & stays[:i]).any()
    return stays.nonzero().flatten().to(shared.device)


def window_nms(
    masks: Sequence[Tensor], origins: Tensor, iou_thr: float, labels: Tensor | None = None
) -> Tensor:
    """``mask_nms`` of masks that are windows: bool (h_i, w_i) from pixel ``origins[i]`` (N, 2) on."""
    pairs, area = _shared_by_windows(masks, origins)
    pairs = sparse.triu(pairs, k=1).tocsc()  # column: the later mask
    shared = torch.from_numpy(pairs.data)
    earlier = torch.from_numpy(pairs.indices.astype(np.int64))
    later = torch.from_numpy(np.repeat(np.arange(len(area)), np.diff(pairs.indptr)))
    repeats = shared > iou_thr * (area[later] + area[earlier] - shared).clamp(min=1)
    if labels is not None:
        labels = labels.cpu()
        repeats &= labels[earlier] == labels[later]
    stays = np.ones(len(area), dtype=bool)
    for i, j in zip(earlier[repeats].tolist(), later[repeats].tolist(), strict=True):
        stays[j] &= not stays[i]
    return torch.from_numpy(np.flatnonzero(stays)).to(origins.device)


def matrix_nms(
    masks: Tensor | Sequence[Tensor],
    scores: Tensor,
    sigma: float = 2.0,
    labels: Tensor | None = None,
    origins: Tensor | None = None,
) -> Tensor:
    """Scores (N,) lowered by how much of a better mask each repeats, all pairs in one matrix product.

    s_j * min over the better masks i of exp(-sigma IoU_ij^2) / exp(-sigma max IoU_i.^2), where max IoU_i. is
    that of i with a mask better still: a mask that is a repetition itself lowers others less. Source: Wang et
    al., SOLOv2 (3.2); what sparseseunet 6 asks for: no mask shape twice.

    Args:
        masks: bool (N, H, W), best first, or windows of them with ``origins`` as in ``window_nms``.
        scores: float (N,), falling.
        sigma: a mask that repeats a unique better one wholly keeps exp(-sigma) of its score.
        labels: as in ``mask_nms``.
    """
    if not len(masks):
        return scores
    if origins is None:
        flat = masks.flatten(1).float()
        shared, area = _shared(flat, labels), flat.sum(1)
    else:
        pairs, area = _shared_by_windows(masks, origins)
        shared, area = torch.from_numpy(pairs.toarray()).to(scores.device), area.to(scores.device)
        shared = _of_one_class(shared, labels)
    iou = (shared / (area[:, None] + area[None] - shared).clamp(min=1)).triu(1)  # row: the better one
    decay = torch.exp(-sigma * (iou**2 - iou.amax(0)[:, None] ** 2))
    return scores * decay.amin(0).clamp(max=1)


def _shared(flat: Tensor, labels: Tensor | None) -> Tensor:
    """Pixels that each two masks of the same class share: (N, P) -> (N, N)."""
    return _of_one_class(flat @ flat.T, labels)


def _of_one_class(shared: Tensor, labels: Tensor | None) -> Tensor:
    return shared if labels is None else shared * (labels[:, None] == labels)


def _shared_by_windows(masks: Sequence[Tensor], origins: Tensor) -> tuple[sparse.csr_matrix, Tensor]:
    """Pixels that each two of N windows share, sparse float32 (N, N), and the area of each, on the CPU."""
    pixels = [mask.nonzero().cpu() + origin for mask, origin in zip(masks, origins.cpu(), strict=True)]
    area = torch.tensor([len(places) for places in pixels], dtype=torch.float32)
    if not area.any():
        return sparse.csr_matrix((len(pixels), len(pixels)), dtype=np.float32), area
    every = torch.cat(pixels)
    every = every - every.amin(0, keepdim=True)
    owner = torch.arange(len(pixels)).repeat_interleave(area.long())
    column = every[:, 0] * (int(every[:, 1].max()) + 1) + every[:, 1]
    table = sparse.csr_matrix(
        (np.ones(len(every), np.float32), (owner.numpy(), column.numpy())),
        (len(pixels), int(column.max()) + 1),
    )
    return table @ table.T, area
