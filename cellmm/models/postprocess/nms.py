"""Non-maximum suppression of masks, as ``test_cfg.nms`` of the heads takes it."""

from abc import abstractmethod
from collections.abc import Sequence

from torch import Tensor

from cellmm.checks import check_share
from cellmm.models.postprocess.mask_nms import mask_nms, matrix_nms, window_nms
from cellmm.registry import TASK_UTILS


class _NMS:
    """Sort the masks by their scores, then let ``suppress`` work on them, best first."""

    def __call__(
        self,
        masks: Tensor | Sequence[Tensor],
        scores: Tensor,
        labels: Tensor | None = None,
        origins: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Which masks stay, and with which scores.

        Args:
            masks: bool (N, h, w), or with ``origins`` N windows (h_i, w_i).
            scores: float (N,), in any order.
            labels: (N,); masks of different classes never repeat each other. None: all are of one class.
            origins: int (N, 2), first row and column of each window on the common map. None: whole maps.

        Returns:
            int64 indices of the masks that stay, best first by their new scores, and those scores.
        """
        order = scores.argsort(descending=True, stable=True)
        labels = None if labels is None else labels[order]
        if origins is None:
            masks = masks[order]
        else:
            masks, origins = [masks[i] for i in order.tolist()], origins[order]
        keep, scores = self.suppress(masks, scores[order], labels, origins)
        return order[keep], scores

    @abstractmethod
    def suppress(
        self,
        masks: Tensor | Sequence[Tensor],
        scores: Tensor,
        labels: Tensor | None,
        origins: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """As ``__call__``, for masks that are sorted, best first."""


@TASK_UTILS.register_module()
class MaskNMS(_NMS):
    """Drop masks that repeat a better one; overlapping cells stay.

    Args:
        iou_thr: masks with more than this IoU are taken as the same cell; well above what cells share.
    """

    def __init__(self, iou_thr: float) -> None:
        check_share(iou_thr=iou_thr)
        self.iou_thr = iou_thr

    def suppress(
        self,
        masks: Tensor | Sequence[Tensor],
        scores: Tensor,
        labels: Tensor | None,
        origins: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        if origins is None:
            keep = mask_nms(masks, self.iou_thr, labels)
        else:
            keep = window_nms(masks, origins, self.iou_thr, labels)
        return keep, scores[keep]


@TASK_UTILS.register_module()
class MatrixNMS(_NMS):
    """Lower the scores of masks that repeat a better one; ``score_thr`` of ``test_cfg`` drops the lowest.

    Source: Wang et al., SOLOv2 (3.2).

    Args:
        sigma: a mask that repeats a unique better one wholly keeps exp(-sigma) of its score.
    """

    def __init__(self, sigma: float = 2.0) -> None:
        self.sigma = sigma

    def suppress(
        self,
        masks: Tensor | Sequence[Tensor],
        scores: Tensor,
        labels: Tensor | None,
        origins: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        lowered = matrix_nms(masks, scores, self.sigma, labels, origins)
        order = lowered.argsort(descending=True, stable=True)
        return order, lowered[order]
