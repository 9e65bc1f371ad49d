"""Where queries begin: learned for all images, or at the gateways of this one."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cellmm.models.feature_spec import FeatureSpec
from cellmm.models.heads.gateway_finders import highest_within, smoothed
from cellmm.models.heads.gateway_targets import ImageTargets
from cellmm.models.layers import coordinate_channels, sine_code
from cellmm.registry import MODELS
from cellmm.structures import CellSample

FLOOR = 0.01  # below this probability there is no gateway


class LearnedQueries(nn.Module):
    """Content and position of each query are weights. Source: Mask2Former.

    ``forward``: mask features (B, E, h, w) -> content (B, N, D), position (B, N, D), and what is learned
    besides: nothing.
    """

    def __init__(self, num_queries: int, dim: int) -> None:
        super().__init__()
        self.content, self.position = (nn.Parameter(torch.randn(num_queries, dim)) for _ in range(2))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        return *(x.expand(features.shape[0], -1, -1) for x in (self.content, self.position)), {}

    def loss(self, learned: dict[str, Tensor], samples: Sequence[CellSample]) -> dict[str, Tensor]:
        """None."""
        return {}


class PeakQueries(nn.Module):
    """A query at each of the best peaks of a map of gateways, which is learned as that of DiskMask.

    The features at a peak give the content, its place the position. Pixels that are not peaks follow where
    there are fewer peaks than queries, the most probable first. Source: ours; diskmask 3.2 for gateways.

    ``forward``: as LearnedQueries, but ``disk_logits`` (B, K + 1, h, w) are learned besides.

    Args:
        spec: of the mask features.
        num_queries, dim, num_classes: of the head.
        radius: a peak is the highest pixel within so many rows and columns of the map.
        loss_disk: config of a loss of disk logits with classes (B, h, w), 0 being the background.
    """

    def __init__(
        self,
        spec: FeatureSpec,
        num_queries: int,
        dim: int,
        num_classes: int,
        radius: int = 3,
        loss_disk: dict | None = None,
    ) -> None:
        super().__init__()
        self.grid, self.radius, self.dim = spec.grid, radius, dim
        self.num_queries, self.num_classes = num_queries, num_classes
        self.disk_logits = nn.Conv2d(spec.channels, num_classes + 1, 1)
        self.content = nn.Linear(spec.channels, dim)
        self.position = nn.Linear(dim, dim)
        self.loss_disk = MODELS.build(loss_disk or dict(type="CrossEntropyLoss"))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        disk_logits = self.disk_logits(features).float()
        probs = disk_logits.detach().softmax(1)[:, 1:].sum(1, keepdim=True)
        peaks = best_peaks(probs, self.num_queries, self.radius)[:, None]
        content, place = (
            x.flatten(2).gather(2, peaks.expand(-1, x.shape[1], -1)).transpose(1, 2)
            for x in (features, coordinate_channels(features, 1))
        )
        position = self.position(sine_code(place, self.dim).to(content.dtype))
        return self.content(content), position, dict(disk_logits=disk_logits)

    def loss(self, learned: dict[str, Tensor], samples: Sequence[CellSample]) -> dict[str, Tensor]:
        """``loss_disk``; samples need what ReferencePoints and DiskTargets write."""
        logits = learned["disk_logits"]
        targets = [ImageTargets(sample, self.grid, logits.shape[-2:], self.num_classes) for sample in samples]
        classes, weight = (torch.stack([getattr(t, key) for t in targets]) for key in ("classes", "weight"))
        return dict(loss_disk=self.loss_disk(logits, classes, weight))


def best_peaks(probs: Tensor, num: int, radius: int) -> Tensor:
    """Flat indices, int64 (B, num), of the best peaks of (B, 1, h, w), the best first.

    The map is smoothed as PeakFinder does it. Of pixels that are equally high within ``radius``, such as
    those of a sure disk or of flat background, the first one is the peak. If the map has fewer pixels than
    ``num``, it is all of them.
    """
    smooth = smoothed(probs)
    place = torch.arange(smooth[0].numel(), device=smooth.device).flip(0).view_as(smooth[:1])
    highest = smooth == highest_within(smooth, radius)
    # the place of the first of the highest pixels is the largest number here; above 0 so that others lose
    first = torch.where(highest, (place + 1).to(smooth.dtype), 0.0)
    peak = highest & (first == highest_within(first, radius)) & (smooth > FLOOR)
    ranks = (smooth + peak).flatten(1)  # any peak before any other pixel
    return ranks.topk(min(num, ranks.shape[1]), dim=1).indices
