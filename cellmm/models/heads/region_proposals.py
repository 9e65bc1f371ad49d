"""Where cells may be: torchvision's region proposal network on maps of known strides."""

from collections.abc import Sequence
from types import SimpleNamespace

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead

ALL = 2**31 - 1
SURE = 0.5  # objectness from which a proposal is taken for a cell


class StridedAnchors(AnchorGenerator):
    """Anchors of torchvision, whose strides are given and not guessed from the sizes of the maps.

    Args:
        strides: input pixels per pixel of each map, finest first.
        scales: sides of the anchors of a map, in its pixels.
        ratios: height / width.
    """

    def __init__(self, strides: Sequence[int], scales: Sequence[float], ratios: Sequence[float]) -> None:
        sizes = tuple(tuple(scale * stride for scale in scales) for stride in strides)
        super().__init__(sizes, (tuple(ratios),) * len(sizes))
        self.strides = tuple(strides)

    def forward(self, images: SimpleNamespace, features: list[Tensor]) -> list[Tensor]:
        """(x0, y0, x1, y1) for each image: (A, 4)."""
        self.set_cell_anchors(features[0].dtype, features[0].device)
        strides = [[features[0].new_tensor(stride, dtype=torch.int64)] * 2 for stride in self.strides]
        anchors = torch.cat(self.grid_anchors([level.shape[-2:] for level in features], strides))
        return [anchors] * len(images.image_sizes)


class Float32RPNHead(RPNHead):
    """torchvision's, which gives float32 under autocast too: boxes need it."""

    def forward(self, features: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        logits, deltas = super().forward(features)
        return [level.float() for level in logits], [level.float() for level in deltas]


class RegionProposals(RegionProposalNetwork):
    """torchvision's network, which counts what its limit cuts, and learns nothing from ignored pixels.

    Source: Faster R-CNN.

    Args:
        channels: of every map.
        strides: of the maps, finest first; one coarser level follows them, as in the FPN of torchvision.
        depth: 3x3 convolutions.
        limit: proposals per level before the suppression, and per image after it; None: all.
        samples: anchors per image that are learned from, up to half of them at cells.
    """

    def __init__(
        self,
        channels: int,
        strides: Sequence[int],
        *,
        depth: int,
        scales: Sequence[float],
        ratios: Sequence[float],
        limit: int | None,
        nms_thr: float,
        samples: int,
    ) -> None:
        anchors = StridedAnchors([*strides, 2 * strides[-1]], scales, ratios)
        number = dict.fromkeys(("training", "testing"), limit or ALL)
        super().__init__(
            anchors,
            Float32RPNHead(channels, len(scales) * len(ratios), conv_depth=depth),
            fg_iou_thresh=0.7,
            bg_iou_thresh=0.3,
            batch_size_per_image=samples,
            positive_fraction=0.5,
            pre_nms_top_n=number,
            post_nms_top_n=dict.fromkeys(number, ALL),
            nms_thresh=nms_thr,
        )
        self.limit = limit or ALL
        self.num_cut: list[int] = []

    def propose(
        self,
        features: list[Tensor],
        shapes: Sequence[tuple[int, int]],
        targets: list[dict[str, Tensor]] | None = None,
    ) -> tuple[list[Tensor], dict[str, Tensor], list[int]]:
        """Boxes (P, 4) of each image, best first; losses, in training; how many likely ones the limit cut.

        ``shapes``: (h, w) of each image, without padding. ``targets``: ``boxes`` and, perhaps, ``ignore``.
        """
        boxes, losses = self(SimpleNamespace(image_sizes=list(shapes)), self.levels(features), targets)
        return boxes, losses, self.num_cut

    def levels(self, features: list[Tensor]) -> dict[str, Tensor]:
        """The maps with the coarser level."""
        levels = [*features, F.max_pool2d(features[-1], 1, 2)]
        return {str(i): level for i, level in enumerate(levels)}

    def filter_proposals(
        self, proposals: Tensor, objectness: Tensor, image_shapes: list, num_anchors_per_level: list[int]
    ) -> tuple[list[Tensor], list[Tensor]]:
        likely = objectness.detach().reshape(len(proposals), -1).sigmoid() >= SURE
        counts = torch.stack([part.sum(1) for part in likely.split(num_anchors_per_level, 1)], 1)
        before = (counts - self.limit).clamp(min=0).sum(1).tolist()
        boxes, scores = super().filter_proposals(proposals, objectness, image_shapes, num_anchors_per_level)
        after = [int((own[self.limit :] >= SURE).sum()) for own in scores]
        self.num_cut = [a + b for a, b in zip(before, after, strict=True)]
        return [own[: self.limit] for own in boxes], [own[: self.limit] for own in scores]

    def assign_targets_to_anchors(
        self, anchors: list[Tensor], targets: list[dict[str, Tensor]]
    ) -> tuple[list[Tensor], list[Tensor]]:
        labels, boxes = super().assign_targets_to_anchors(anchors, targets)
        for own, places, target in zip(labels, anchors, targets, strict=True):
            if "ignore" in target:
                own[(own == 0) & mostly_in(target["ignore"], places)] = -1
        return labels, boxes

    def compute_loss(
        self, objectness: Tensor, pred_bbox_deltas: Tensor, labels: list[Tensor], regression_targets: list
    ) -> tuple[Tensor, Tensor]:
        if all(bool((own < 0).all()) for own in labels):  # all of the batch is ignored
            return 0 * objectness.sum(), 0 * pred_bbox_deltas.sum()
        return super().compute_loss(objectness, pred_bbox_deltas, labels, regression_targets)


def mostly_in(region: Tensor, boxes: Tensor) -> Tensor:
    """Whether more than half of each box (x0, y0, x1, y1) lies in ``region``, bool (H, W): bool (N,).

    Boxes are taken by the pixels that they touch inside of the image.

    >>> region = torch.zeros(4, 8, dtype=torch.bool)
    >>> region[:, 4:] = True
    >>> mostly_in(region, torch.tensor([[0.0, 0, 5, 4], [3, 0, 6, 4]])).tolist()
    [False, True]
    """
    height, width = region.shape
    total = F.pad(region.to(torch.float64).cumsum(0).cumsum(1), (1, 0, 1, 0))
    x0, y0 = boxes[:, 0].floor().clamp(0, width - 1).long(), boxes[:, 1].floor().clamp(0, height - 1).long()
    x1, y1 = boxes[:, 2].ceil().clamp(1, width).long(), boxes[:, 3].ceil().clamp(1, height).long()
    x1, y1 = torch.maximum(x1, x0 + 1), torch.maximum(y1, y0 + 1)
    inside = total[y1, x1] - total[y0, x1] - total[y1, x0] + total[y0, x0]
    return inside > (x1 - x0) * (y1 - y0) / 2
