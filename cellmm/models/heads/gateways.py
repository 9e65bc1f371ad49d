"""Gateways: the places through which DiskMask hands one object at a time to the net that draws it."""

from dataclasses import dataclass, field

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
