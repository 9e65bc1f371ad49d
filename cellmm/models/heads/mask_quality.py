"""How good a mask is, as far as the net that drew it can tell."""

import torch
from torch import Tensor, nn


class MaskQuality(nn.Module):
    """Expected IoU of a mask with its object, as a logit, from detached features: ranking cannot harm masks.

    From DecoNet's coarsest map (mean and maximum over the window) and the mask's own statistics: its area,
    mean probability, share of pixels that are in doubt, and the probability of its disk.
    Source: ours; the idea of Huang et al., Mask Scoring R-CNN.

    ``forward``: coarsest (K, D, h', w'), logits (K, 1, h, w), disk_probs (K,) -> (K,).
    """

    def __init__(self, in_channels: int, hidden: int = 64) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(2 * in_channels)
        self.layers = nn.Sequential(
            nn.Linear(2 * in_channels + 4, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, 1),
        )

    def forward(self, coarsest: Tensor, logits: Tensor, disk_probs: Tensor) -> Tensor:
        with torch.autocast(coarsest.device.type, enabled=False):
            coarsest, probs = coarsest.detach().float(), logits.detach().float().sigmoid().flatten(1)
            inside = (probs > 0.5).float()
            area = inside.sum(1).clamp(min=1)
            statistics = torch.stack(
                [
                    area.log() / 10,
                    (probs * inside).sum(1) / area,
                    ((probs > 0.2) & (probs < 0.8)).sum(1) / area,
                    disk_probs.detach().float(),
                ],
                1,
            )
            pooled = self.norm(torch.cat([coarsest.mean((2, 3)), coarsest.amax((2, 3))], 1))
            return self.layers(torch.cat([pooled, statistics], 1))[:, 0]
