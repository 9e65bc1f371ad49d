"""What the queries of QueryHead learn, at each of its stages."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from cellmm.checks import check_share
from cellmm.models.heads.mask_pixels import OverlapPoints, PixelsOfImages
from cellmm.models.heads.query.overlap_parts import PARTS, masks_with_parts_at
from cellmm.models.heads.set_criterion import MatchedLosses, Pair, SetCriterion
from cellmm.models.layers import mask_logits
from cellmm.models.losses.functional import mask_iou, mean_over_ranks
from cellmm.registry import MODELS
from cellmm.structures import CellSample

CHUNK = 16  # whole masks held at a time


@MODELS.register_module()
class QuerySetCriterion(SetCriterion):
    """Match queries and cells, stage by stage; learn classes, masks on points, and the quality of masks.

    Losses are sums over the images, divided by the number of matched cells, averaged over the ranks; those of
    noisy queries by the number of these, and the consistency by the number of points, too. Those of all
    stages but the last are added up, under names that end in ``_earlier``. Source: Mask2Former
    (3.3) for matching, classes, masks and their weights; the rest is ours.

    Args:
        overlap_parts: what a cell has alone, and what it shares, are masks of their own, learned with half of
            the weight; where |whole - max(alone, shared)| is not 0, it is a loss. The head gives it.
        matcher: CostMatcher by default.
        points: the pixels that masks are matched and learned on, OverlapPoints by default.
        loss_cls: of logits (B, K + 1, N) and classes (B, N); CrossEntropyLoss with weight 2 by default.
        loss_dice, loss_bce: of mask logits and targets (K, P); DiceLoss with plain sums and MaskBCELoss, with
            weight 5 each, by default.
        loss_quality: of quality logits and IoU (K,); BCELoss by default.
        loss_consistency: of probabilities; L1Loss by default.
        no_object_weight: weight of queries without a cell in ``loss_cls``.
        unmatched_share: this share of the queries without a cell learns a quality of 0.
        part_weight: see ``overlap_parts``.
    """

    def __init__(
        self,
        overlap_parts: bool = False,
        matcher: dict | None = None,
        points: dict | None = None,
        loss_cls: dict | None = None,
        loss_dice: dict | None = None,
        loss_bce: dict | None = None,
        loss_quality: dict | None = None,
        loss_consistency: dict | None = None,
        no_object_weight: float = 0.1,
        unmatched_share: float = 0.1,
        part_weight: float = 0.5,
    ) -> None:
        super().__init__(
            matcher or dict(type="CostMatcher"),
            points or dict(type="OverlapPoints"),
            loss_cls or dict(type="CrossEntropyLoss", loss_weight=2.0),
            loss_dice or dict(type="DiceLoss", loss_weight=5.0, squared=False),
            loss_bce or dict(type="MaskBCELoss", loss_weight=5.0),
        )
        check_share(no_object_weight=no_object_weight, unmatched_share=unmatched_share)
        if not 0 <= part_weight < math.inf:
            raise ValueError(f"part_weight must be 0 or more, got {part_weight}")
        if overlap_parts and not isinstance(self.points, OverlapPoints):
            raise ValueError(
                f"overlap_parts needs points=dict(type='OverlapPoints'), got {type(self.points).__name__}"
            )
        self.overlap_parts, self.part_weight = overlap_parts, part_weight
        self.no_object_weight, self.unmatched_share = no_object_weight, unmatched_share
        self.loss_quality = MODELS.build(loss_quality or dict(type="BCELoss"))
        self.loss_consistency = MODELS.build(loss_consistency or dict(type="L1Loss"))

    def forward(self, outputs: Mapping, samples: Sequence[CellSample], stride: int) -> MatchedLosses:
        """``loss_cls``, ``loss_dice``, ``loss_bce``, ``loss_quality`` and, with ``overlap_parts``,
        ``loss_exclusive``, ``loss_shared`` and ``loss_consistency``; of noisy queries ``loss_noisy_cls`` ...

        Args:
            outputs: what QueryHead gives: ``stages``, ``basis``, ``coarse_basis`` and, with denoising,
                ``noisy``, its ``stages`` and ``pairs``.
            samples: with ``gt_layers`` and ``gt_instances.labels``.
            stride: of the masks.
        """
        stages, bases = outputs["stages"], (outputs["coarse_basis"], outputs["basis"])
        labels = [sample.gt_instances.labels for sample in samples]
        more = dict(masks_at=masks_with_parts_at) if self.overlap_parts else {}
        learned, matched = self.points(bases[1], bases[0], samples, stride, **more)
        whole = [[_whole_masks(sample, stride, bases[1], basis) for sample in samples] for basis in bases]
        num_queries = stages[-1]["kernels"].shape[1]
        num_pairs = mean_over_ranks(sum(min(len(ids), num_queries) for ids in labels), bases[1])
        losses: dict[str, Tensor] = {}
        for i, stage in enumerate(stages):
            last = i == len(stages) - 1
            pairs = self.match(stage, labels, matched)
            found = self.mask_losses(stage, pairs, labels, learned, num_pairs)
            found["loss_cls"] = self.class_loss(stage["cls_logits"], pairs, labels, num_pairs)
            found["loss_quality"] = self.quality_loss(stage, pairs, bases[last], whole[last], num_pairs)
            _add(losses, found, last)
        if "noisy" in outputs:
            self._add_noisy(losses, outputs["noisy"], labels, learned)
        return MatchedLosses(losses, pairs, num_pairs)

    def _add_noisy(
        self, losses: dict[str, Tensor], noisy: Mapping, labels: Sequence[Tensor], learned: PixelsOfImages
    ) -> None:
        """Add the losses of queries whose cells are known; those without a cell learn nothing."""
        stages, pairs = noisy["stages"], noisy["pairs"]
        count = mean_over_ranks(sum(len(query) for query, _ in pairs), stages[-1]["kernels"])
        classes = torch.cat([ids[cell] for ids, (_, cell) in zip(labels, pairs, strict=True)])
        for i, stage in enumerate(stages):
            found = self.mask_losses(stage, pairs, labels, learned, count)
            logits = torch.cat([stage["cls_logits"][b, query] for b, (query, _) in enumerate(pairs)])
            found["loss_cls"] = self.loss_cls(logits, classes, avg_factor=count)
            found = {key.replace("loss_", "loss_noisy_"): value for key, value in found.items()}
            _add(losses, found, i == len(stages) - 1)

    def class_loss(
        self, cls_logits: Tensor, pairs: Sequence[Pair], labels: Sequence[Tensor], count: Tensor
    ) -> Tensor:
        """``loss_cls`` of logits (B, N, K + 1): queries without a cell learn the last class."""
        nothing = cls_logits.shape[-1] - 1
        classes = torch.full(cls_logits.shape[:2], nothing, device=cls_logits.device)
        for b, (query, cell) in enumerate(pairs):
            classes[b, query] = labels[b][cell]
        weight = torch.where(classes == nothing, self.no_object_weight, 1.0)
        return self.loss_cls(cls_logits.transpose(1, 2), classes, weight, avg_factor=count)

    def mask_losses(
        self,
        stage: Mapping[str, Tensor],
        pairs: Sequence[Pair],
        labels: Sequence[Tensor],
        learned: PixelsOfImages,
        count: Tensor,
    ) -> dict[str, Tensor]:
        """``loss_dice`` and ``loss_bce`` of all pairs, and with ``overlap_parts`` those of the parts."""
        names = PARTS if self.overlap_parts else PARTS[:1]
        logits: dict[str, list[Tensor]] = {name: [] for name in names}
        targets: dict[str, list[Tensor]] = {name: [] for name in names}
        for b, ((query, cell), (basis, masks)) in enumerate(zip(pairs, learned, strict=True)):
            points = None
            for i, name in enumerate(names):
                own = mask_logits(stage[name][b : b + 1, query], basis)[0].flatten(1)
                if points is None:  # those of the whole cell
                    every = torch.arange(own.shape[1], device=own.device).expand_as(own)
                    _, points = self.points.pick(own, every)
                logits[name].append(own.gather(1, points))
                targets[name].append(masks[i * len(labels[b]) + cell].gather(1, points))
        whole, *parts = ((torch.cat(logits[name]), torch.cat(targets[name])) for name in names)
        losses = dict(
            loss_dice=self.loss_dice(*whole, avg_factor=count),
            loss_bce=self.loss_bce(*whole, avg_factor=count),
        )
        if not parts:
            return losses
        for name, (own, target) in zip(("loss_exclusive", "loss_shared"), parts, strict=True):
            exists = target.any(1, keepdim=True).float()  # the Dice of an empty part has no gradient
            losses[name] = self.part_weight * (
                self.loss_dice(own, target, exists, avg_factor=count)
                + self.loss_bce(own, target, avg_factor=count)
            )
        joined = torch.maximum(parts[0][0], parts[1][0]).sigmoid()
        losses["loss_consistency"] = self.loss_consistency(
            whole[0].sigmoid(), joined, avg_factor=count * max(joined.shape[1], 1)
        )
        return losses

    def quality_loss(
        self,
        stage: Mapping[str, Tensor],
        pairs: Sequence[Pair],
        basis: Tensor,
        masks: Sequence[Tensor],
        count: Tensor,
    ) -> Tensor:
        """``loss_quality``: the IoU of the masks of pairs with their cells, and 0 for some of the others.

        ``masks``: the cells of each image, bool (M, h, w) at the size of ``basis`` (B, E, h, w).
        """
        predicted, ious = [], []
        for b, (query, cell) in enumerate(pairs):
            logits = stage["quality_logits"][b]
            free = torch.ones_like(logits, dtype=torch.bool)
            free[query] = False
            free = free.nonzero().flatten()
            number = math.ceil(self.unmatched_share * len(free))
            some = torch.randperm(len(free), device=free.device)[:number]
            predicted += [logits[query], logits[free[some]]]
            for queries, cells in zip(query.split(CHUNK), cell.split(CHUNK), strict=True):
                with torch.no_grad():
                    inside = mask_logits(stage["kernels"][b : b + 1, queries], basis[b : b + 1])[0] > 0
                ious.append(mask_iou(inside.flatten(1), masks[b][cells].flatten(1)))
            ious.append(logits.new_zeros(len(some)))
        return self.loss_quality(torch.cat(predicted), torch.cat(ious), avg_factor=count)


def _add(losses: dict[str, Tensor], found: Mapping[str, Tensor], last: bool) -> None:
    """Those of the last stage under their own names, the sums of the others under ``_earlier``."""
    for name, value in found.items():
        key = name if last else f"{name}_earlier"
        losses[key] = losses[key] + value if key in losses else value


def _whole_masks(sample: CellSample, stride: int, finest: Tensor, basis: Tensor) -> Tensor:
    """The cells at the size of ``basis``, bool (M, h, w), by half of a block; ``finest`` is at ``stride``."""
    step = stride * (finest.shape[-1] // basis.shape[-1])
    cells = torch.arange(len(sample.gt_instances), device=sample.gt_layers.device)
    parts = [sample.gt_masks(step, basis.shape[-2:], some) >= 0.5 for some in cells.split(CHUNK)]
    return torch.cat(parts)
