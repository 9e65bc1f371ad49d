"""Losses between a set of predictions and a set of cells, matched one to one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cellmm.models.layers.mask_kernels import mask_logits
from cellmm.models.losses.functional import mean_over_ranks
from cellmm.registry import MODELS, TASK_UTILS
from cellmm.structures import CellSample

Pair = tuple[Tensor, Tensor]  # indices of queries and of their cells, int64 (K,) each


@dataclass
class MatchedLosses:
    """``losses`` by name, the ``pairs`` of the last stage of each image, and how many pairs a rank has."""

    losses: dict[str, Tensor]
    pairs: list[Pair]
    num_pairs: Tensor


@MODELS.register_module()
class SetCriterion(nn.Module):
    """Match queries and cells, stage by stage; masks of pairs and classes of all queries are learned.

    Each argument is the config of a part. Source: sparseseunet 4.5.4; the weights 2, 5 and 2 are those of
    SparseInst, on which the thesis builds.

    Args:
        matcher: pairs queries with cells, HungarianMatcher by default.
        points: the pixels that masks are matched and learned on: AllPixels, as published, or UncertainPoints.
        loss_cls: of class logits and targets (B, N, K); SigmoidFocalLoss by default.
        loss_dice, loss_bce: of mask logits and targets (K, P); DiceLoss and MaskBCELoss by default.
    """

    def __init__(
        self,
        matcher: dict | None = None,
        points: dict | None = None,
        loss_cls: dict | None = None,
        loss_dice: dict | None = None,
        loss_bce: dict | None = None,
    ) -> None:
        super().__init__()
        self.matcher = TASK_UTILS.build(matcher or dict(type="HungarianMatcher"))
        self.points = TASK_UTILS.build(points or dict(type="AllPixels"))
        self.loss_dice = MODELS.build(loss_dice or dict(type="DiceLoss", loss_weight=2.0))
        self.loss_bce = MODELS.build(loss_bce or dict(type="MaskBCELoss", loss_weight=5.0))
        self.loss_cls = MODELS.build(loss_cls or dict(type="SigmoidFocalLoss", loss_weight=2.0))

    def forward(self, outputs: Mapping, samples: Sequence[CellSample], stride: int) -> MatchedLosses:
        """``loss_dice``, ``loss_bce`` of matched pairs and ``loss_cls`` of all queries, ``_i`` for stage i.

        Args:
            outputs: what IAMHead gives: ``stages``, ``basis`` and ``coarse_basis``.
            samples: with ``gt_layers`` and ``gt_instances.labels``.
            stride: of the masks.
        """
        stages = outputs["stages"]
        labels = [sample.gt_instances.labels for sample in samples]
        learned, matched = self.points(outputs["basis"], outputs["coarse_basis"], samples, stride)
        num_queries = stages[-1]["kernels"].shape[1]
        num_pairs = mean_over_ranks(sum(min(len(ids), num_queries) for ids in labels), outputs["basis"])
        losses: dict[str, Tensor] = {}
        for i, stage in enumerate(stages):
            pairs = self.match(stage, labels, matched)
            classes = class_targets(stage["cls_logits"], labels, pairs)
            logits, targets = self.masks_of_pairs(stage["kernels"], pairs, learned)
            suffix = "" if i == len(stages) - 1 else f"_{i}"
            losses[f"loss_dice{suffix}"] = self.loss_dice(logits, targets, avg_factor=num_pairs)
            losses[f"loss_bce{suffix}"] = self.loss_bce(logits, targets, avg_factor=num_pairs)
            losses[f"loss_cls{suffix}"] = self.loss_cls(stage["cls_logits"], classes, avg_factor=num_pairs)
        return MatchedLosses(losses, pairs, num_pairs)

    @torch.no_grad()
    def match(self, stage: Mapping, labels: Sequence[Tensor], matched: Sequence) -> list[Pair]:
        """The pairs of each image."""
        pairs = []
        for b, (basis, masks) in enumerate(matched):
            logits = mask_logits(stage["kernels"][b : b + 1], basis)[0].flatten(1)
            pairs.append(self.matcher(stage["cls_logits"][b], logits, labels[b], masks))
        return pairs

    def masks_of_pairs(
        self, kernels: Tensor, pairs: Sequence[Pair], learned: Sequence
    ) -> tuple[Tensor, Tensor]:
        """Mask logits and targets (K, P) of all pairs of the batch."""
        parts = []
        for b, ((query, cell), (basis, masks)) in enumerate(zip(pairs, learned, strict=True)):
            logits = mask_logits(kernels[b : b + 1, query], basis)[0].flatten(1)
            parts.append(self.points.pick(logits, masks[cell]))
        logits, targets = zip(*parts, strict=True)
        return torch.cat(logits), torch.cat(targets)


def class_targets(cls_logits: Tensor, labels: Sequence[Tensor], pairs: Sequence[Pair]) -> Tensor:
    """1 at the class of each matched query, else 0: as ``cls_logits`` (B, N, K)."""
    targets = torch.zeros_like(cls_logits)
    for b, (query, cell) in enumerate(pairs):
        targets[b, query, labels[b][cell]] = 1
    return targets
