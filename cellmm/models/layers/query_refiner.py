"""Instance features, refined by a second look through the masks that they gave."""

import torch
from torch import Tensor, nn


def masked_average(weights: Tensor, features: Tensor) -> Tensor:
    """Average of the features under each weight map, in float32 (half precision gives NaN here).

    (B, N, H, W) weights >= 0 and (B, D, H, W) features -> (B, N, D). Source: sparseseunet eq. 4.9, with maps
    that are normalised to a sum of 1.
    """
    with torch.autocast(features.device.type, enabled=False):
        weights, features = weights.flatten(2).float(), features.flatten(2).float()
        total = weights.sum(-1, keepdim=True).clamp(min=1e-6)
        return weights @ features.transpose(1, 2) / total  # no second copy of the maps


class QueryRefiner(nn.Module):
    """One refinement of the instance features (B, N, D).

    The features under each query's current mask are added, queries attend to each other (so that two
    queries on the same cell can settle which of them keeps it), and a two-layer perceptron follows.
    Source: the kernel updates of Zhang et al., K-Net; not in the thesis.
    """

    def __init__(self, dim: int, in_dim: int, num_heads: int = 4) -> None:
        super().__init__()
        self.project = nn.Linear(in_dim, dim)
        self.attend = nn.MultiheadAttention(dim, num_heads, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(dim, 2 * dim), nn.ReLU(inplace=True), nn.Linear(2 * dim, dim))
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(3))

    def forward(self, queries: Tensor, mask_probs: Tensor, features: Tensor) -> Tensor:
        queries = self.norms[0](queries + self.project(masked_average(mask_probs, features)))
        queries = self.norms[1](queries + self.attend(queries, queries, queries, need_weights=False)[0])
        return self.norms[2](queries + self.mlp(queries))
