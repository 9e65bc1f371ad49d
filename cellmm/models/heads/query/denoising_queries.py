"""Queries that are given a noisy version of their cell, and learn to draw the cell itself."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cellmm.checks import check_share, check_whole
from cellmm.models.layers import masked_average, sine_code
from cellmm.registry import MODELS
from cellmm.structures import CellSample


@dataclass
class NoisyQueries:
    """S queries for each image of a batch, in groups of equal size.

    Attributes:
        content, position: (B, S, D).
        regions: where each looks first, bool (B, S, h, w).
        groups: the group of each, int64 (S,).
        given: those that have a cell, bool (B, S); an image with fewer cells leaves some without.
        pairs: of each image, the indices of queries and of their cells, int64 (K,) each.
    """

    content: Tensor
    position: Tensor
    regions: Tensor
    groups: Tensor
    given: Tensor
    pairs: list[tuple[Tensor, Tensor]]

    def together(self, num: int) -> Tensor:
        """Which of ``num`` queries, these being the last, may look at which: bool (B, num, num).

        Each group sees itself alone, and so do the other queries. None sees a query without
        a cell, except that query itself.
        """
        own = num - len(self.groups)
        group = torch.cat([self.groups.new_zeros(own), self.groups + 1])
        given = F.pad(self.given, (own, 0), value=True)
        itself = torch.eye(num, dtype=torch.bool, device=group.device)
        return (group[:, None] == group) & given[:, None] | itself


@MODELS.register_module()
class DenoisingQueries(nn.Module):
    """Groups of queries, one query per cell and group, each with a noisy region of its cell.

    A query begins with a class, which may be wrong, the mean of the features in the region, and the place
    and the size of the region; its first layer looks into the region. Nothing has to be matched, so masks are
    learned from the first step on. There are max(1, max_queries // most) groups, ``most`` being the most
    cells of an image in the batch; where it is more than ``max_queries``, as many are drawn. So denoising
    also works with hundreds of cells. Source: Mask DINO (3.3); the regions are ours.

    Args:
        dim, num_classes: of the head, which gives them.
        max_queries: per image.
        kind: ``'boxes'``: the region is the cell's box, moved and resized; ``'masks'``: the cell, eroded or
            dilated.
        box_noise: the centre of a box moves by up to this share of half a side, and a side changes by up to
            this share of itself.
        mask_noise: pixels of the finest level by which masks are eroded or dilated at most.
        label_noise: share of classes that are drawn at random.
    """

    def __init__(
        self,
        dim: int,
        num_classes: int,
        max_queries: int = 200,
        kind: str = "boxes",
        box_noise: float = 0.4,
        mask_noise: int = 2,
        label_noise: float = 0.2,
    ) -> None:
        super().__init__()
        check_whole(1, max_queries=max_queries, mask_noise=mask_noise)
        check_share(box_noise=box_noise, label_noise=label_noise)
        if kind not in ("boxes", "masks"):
            raise ValueError(f"kind must be 'boxes' or 'masks', got {kind!r}")
        self.dim, self.max_queries, self.kind = dim, max_queries, kind
        self.box_noise, self.mask_noise, self.label_noise = box_noise, mask_noise, label_noise
        self.classes = nn.Embedding(num_classes, dim)
        self.features = nn.Linear(dim, dim)
        self.position = nn.Linear(dim, dim)

    def forward(self, samples: Sequence[CellSample], pixels: Tensor, stride: int) -> NoisyQueries:
        """For the cells of ``samples``, on the finest level (B, D, h, w) at ``stride``."""
        batch, shape = len(samples), pixels.shape[-2:]
        most = max(len(sample.gt_instances.labels) for sample in samples)
        slots = max(1, min(most, self.max_queries))
        groups = max(1, self.max_queries // slots) if most else 1
        regions = torch.ones(batch, groups, slots, *shape, dtype=torch.bool, device=pixels.device)
        labels = torch.zeros(batch, groups, slots, dtype=torch.long, device=pixels.device)
        given, pairs = torch.zeros_like(labels, dtype=torch.bool), []
        index = torch.arange(groups * slots, device=pixels.device).view(groups, slots)
        for b, sample in enumerate(samples):
            known = sample.gt_instances.labels
            cells = torch.randperm(len(known), device=known.device)[:slots]
            num = len(cells)
            masks = sample.gt_masks(stride, shape, cells) > 0
            for group in range(groups):
                regions[b, group, :num] = self.noisy(masks)
                labels[b, group, :num] = self._noisy_labels(known[cells])
            given[b, :, :num] = True
            pairs.append((index[:, :num].flatten(), cells.repeat(groups)))
        regions = regions.flatten(1, 2)
        found = masked_average(regions, pixels).to(pixels.dtype)
        return NoisyQueries(
            content=self.classes(labels.flatten(1)) + self.features(found),
            position=self.position(sine_code(places(regions), self.dim).to(pixels.dtype)),
            regions=regions,
            groups=torch.arange(groups, device=pixels.device).repeat_interleave(slots),
            given=given.flatten(1),
            pairs=pairs,
        )

    def noisy(self, masks: Tensor) -> Tensor:
        """A region for each of the masks, bool (M, h, w), none of them empty."""
        if not len(masks):
            return masks
        return self._noisy_boxes(masks) if self.kind == "boxes" else self._noisy_masks(masks)

    def _noisy_boxes(self, masks: Tensor) -> Tensor:
        regions = []
        for axis, size in ((2, masks.shape[1]), (1, masks.shape[2])):
            low, high = extent(masks.any(axis))
            side = high - low
            move, grow = self.box_noise * (2 * torch.rand(2, len(masks), device=masks.device) - 1)
            centre = ((low + high + move * side) / 2).clamp(0.5, size - 0.5)
            half = (side * (1 + grow)).clamp(min=1) / 2
            pixel = torch.arange(size, device=masks.device) + 0.5
            regions.append((pixel - centre[:, None]).abs() <= half[:, None])
        return regions[0][:, :, None] & regions[1][:, None]

    def _noisy_masks(self, masks: Tensor) -> Tensor:
        reach = torch.randint(1, self.mask_noise + 1, (len(masks),), device=masks.device)
        grows = torch.rand(len(masks), device=masks.device) < 0.5
        regions = masks.clone()
        for pixels in range(1, self.mask_noise + 1):
            for which, change in (((reach == pixels) & grows, dilated), ((reach == pixels) & ~grows, eroded)):
                if which.any():
                    regions[which] = change(masks[which], pixels)
        filled = regions.flatten(1).any(1)
        return torch.where(filled[:, None, None], regions, masks)

    def _noisy_labels(self, labels: Tensor) -> Tensor:
        wrong = torch.rand(len(labels), device=labels.device) < self.label_noise
        return torch.where(wrong, torch.randint_like(labels, self.classes.num_embeddings), labels)


def dilated(masks: Tensor, pixels: int) -> Tensor:
    """bool (M, h, w), grown by squares of ``pixels`` to each side."""
    return F.max_pool2d(masks.float(), 2 * pixels + 1, 1, pixels) > 0


def eroded(masks: Tensor, pixels: int) -> Tensor:
    """bool (M, h, w), shrunk likewise; what is outside of the map counts as cell."""
    return ~dilated(~masks, pixels)


def extent(taken: Tensor) -> tuple[Tensor, Tensor]:
    """The first True of each row of bool (M, n), and the place after its last: float32 (M,) each."""
    first = taken.float().argmax(1)
    last = taken.shape[1] - taken.flip(1).float().argmax(1)
    return first.float(), last.float()


def places(regions: Tensor) -> Tensor:
    """x and y of the middle of the boxes of bool (B, S, h, w), width and height: float32 (B, S, 4).

    In the frame of ``coordinate_channels``; sides as shares of the longer side of the map.
    """
    height, width = regions.shape[-2:]
    half = max(height - 1, width - 1, 1) / 2
    middles, sides = [], []
    for axis, size in ((2, width), (3, height)):
        low, high = (ends.view(regions.shape[:2]) for ends in extent(regions.any(axis).flatten(0, 1)))
        middles.append(((low + high - 1) / 2 - (size - 1) / 2) / half)
        sides.append((high - low) / (2 * half + 1))
    return torch.stack([*middles, *sides], -1)
