"""How good a mask is, as far as the net that drew it can tell."""

import torch
from torch import Tensor, nn


class MaskQuality(nn.Module):
    """Expected IoU of a mask with its object, as a logit, from detached features: ranking cannot harm masks.

    From features of the mask and its own statistics: its area, mean probability, share of pixels that are in
    doubt, and the probability that there is an object (of its disk, of its class).
    Source: ours; the idea of Huang et al., Mask Scoring R-CNN.

    ``forward``: features (K, F), logits (K, ...) of the mask's pixels, probs (K,) -> (K,).
    """

    def __init__(self, num_features: int, hidden: int = 64) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(num_features)
        self.layers = nn.Sequential(
            nn.Linear(num_features + 4, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, 1),
        )

    def forward(self, features: Tensor, logits: Tensor, object_probs: Tensor) -> Tensor:
        with torch.autocast(features.device.type, enabled=False):
            features, probs = features.detach().float(), logits.detach().float().sigmoid().flatten(1)
            inside = (probs > 0.5).float()
            area = inside.sum(1).clamp(min=1)
            statistics = torch.stack(
                [
                    area.log() / 10,
                    (probs * inside).sum(1) / area,
                    ((probs > 0.2) & (probs < 0.8)).sum(1) / area,
                    object_probs.detach().float(),
                ],
                1,
            )
            return self.layers(torch.cat([self.norm(features), statistics], 1))[:, 0]
