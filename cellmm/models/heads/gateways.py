"""Gateways: the places through which DiskMask hands one object at a time to the net that draws it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor


@dataclass
class Gateways:
    """G gateways of one image, in pixels of the feature map's grid.

    Gateway g is the disk of ``radius[g]`` around ``points[g]``; where ``labels`` is given, only the part of
    it that ``labels`` calls g + 1.

    Attributes:
        points: float (G, 2), (row, column).
        radius: float (G,).
        probs: disk probability at each point, float (G,).
        labels: int (h, w).
        limits: {message with ``{}`` for a number: how many more gateways a limit left out}.
    """

    points: Tensor
    radius: Tensor
    probs: Tensor
    labels: Tensor | None = None
    limits: dict[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.points)

    def select(self, index: Tensor) -> "Gateways":
        """Those of ``index``, int64 (K,), in its order; ``limits`` are those of all."""
        labels = self.labels
        if labels is not None:
            table = labels.new_zeros(len(self) + 1)
            table[index + 1] = torch.arange(1, len(index) + 1, dtype=labels.dtype, device=labels.device)
            labels = table[labels.long()]
        return replace(
            self, points=self.points[index], radius=self.radius[index], probs=self.probs[index], labels=labels
        )

    def nearest(self, point: Tensor, num: int) -> "Gateways":
        """The ``num`` gateways whose points are nearest to ``point`` (2,), or all if there are fewer."""
        away = (self.points - point).square().sum(1)
        return self.select(away.argsort(stable=True)[:num])

    def pixels(self) -> tuple[Tensor, Tensor]:
        """Row and column of the pixel at each point, int64 (G,) each."""
        return self.points.round().long().unbind(1)

    def open(self, which: Tensor, first: Tensor, size: tuple[int, int]) -> Tensor:
        """Gateways ``which`` (K,) in windows of ``size`` from pixels ``first`` (K, 2) on: bool (K, h, w)."""
        rows = first[:, :1] + torch.arange(size[0], device=first.device)
        cols = first[:, 1:] + torch.arange(size[1], device=first.device)
        dy = (rows - self.points[which, :1]).square()
        dx = (cols - self.points[which, 1:]).square()
        gates = dy[:, :, None] + dx[:, None, :] <= self.radius[which, None, None] ** 2
        if self.labels is not None:
            gates &= self.labels[rows[:, :, None], cols[:, None, :]] == (which + 1)[:, None, None]
        return gates


@dataclass
class GatewayMaps:
    """What gateways of a batch are opened on when predicting.

    Attributes:
        features: the maps of the decoder, finest first.
        f: the feature map F, or the finest of ``features`` if the head makes F of it where it is needed.
        class_probs: of the disks, (B, K + 1, h, w), class 0 being the background.
    """

    features: list[Tensor]
    f: Tensor
    class_probs: Tensor

    @property
    def disk_probs(self) -> Tensor:
        """That there is a disk, (B, h, w)."""
        return 1 - self.class_probs[:, 0]


@dataclass
class SampledGateways:
    """K windows with open gateways on the feature map.

    Attributes:
        image: which image of the batch, int64 (K,).
        first: first pixel of each window, int64 (K, 2).
        gates: the open pixels, bool (K, h, w).
        probs: disk probability at the gateway, float (K,).
        cells: per window the ids (from 1) of the cells to draw; none where the gateway is wrong.
        has_mask: per window whether there is a mask to learn; it may be empty.
    """

    image: Tensor
    first: Tensor
    gates: Tensor
    probs: Tensor
    cells: list[Tensor]
    has_mask: list[bool]

    @classmethod
    def of_batch(cls, parts: Sequence["SampledGateways"]) -> "SampledGateways":
        """Join those of each image, in the order of the batch."""
        return cls(
            image=torch.cat([torch.full_like(part.image, i) for i, part in enumerate(parts)]),
            first=torch.cat([part.first for part in parts]),
            gates=torch.cat([part.gates for part in parts]),
            probs=torch.cat([part.probs for part in parts]),
            cells=[cells for part in parts for cells in part.cells],
            has_mask=[has for part in parts for has in part.has_mask],
        )
