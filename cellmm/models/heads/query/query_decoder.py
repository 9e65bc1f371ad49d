"""Layers in which queries find their cells, level by level."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cellmm.models.heads.query.denoising_queries import NoisyQueries
from cellmm.models.heads.query.query_predictor import QueryPredictor
from cellmm.models.layers import QueryLayer, coordinate_channels, mask_logits, seen_through, sine_code
from cellmm.models.layers.mask_kernels import resize_to

ORDERS = ("coarse_to_fine", "round_robin")


class QueryDecoder(nn.Module):
    """Queries, refined layer by layer -> the predictions before the first layer and after each.

    A layer looks at one level through the masks of the predictions before it: the mask at a level is the
    query's kernel on mask features averaged down to it, so no mask is ever computed in full.
    Source: Mask2Former (3.2).

    Args:
        dim: D of queries and levels.
        num_heads, feedforward: of each layer.
        num_levels, layers_per_level: how many layers there are.
        order: ``'coarse_to_fine'``: all layers of a level, then those of the next finer one;
            ``'round_robin'``, as published: each level in turn.
        predictor: makes the predictions.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        feedforward: int,
        num_levels: int,
        layers_per_level: int,
        order: str,
        predictor: QueryPredictor,
    ) -> None:
        super().__init__()
        if order not in ORDERS:
            raise ValueError(f"order must be one of {ORDERS}, got {order!r}")
        if dim % num_heads or dim % 8:
            raise ValueError(f"dim must be a multiple of 8 and of num_heads ({num_heads}), got {dim}")
        schedule = [[level] * layers_per_level for level in range(num_levels)]
        if order == "round_robin":
            schedule = list(zip(*schedule, strict=True))
        self.schedule = [level for part in schedule for level in part]
        self.dim, self.predictor = dim, predictor
        self.level_embedding = nn.Parameter(torch.randn(num_levels, dim) * 0.02)
        self.layers = nn.ModuleList(QueryLayer(dim, num_heads, feedforward) for _ in self.schedule)

    def forward(
        self,
        levels: Sequence[Tensor],
        basis: Tensor,
        content: Tensor,
        position: Tensor,
        noisy: NoisyQueries | None = None,
    ) -> list[dict[str, Tensor]]:
        """Predictions of each stage, see QueryPredictor.

        Args:
            levels: (B, D, h, w), coarsest first.
            basis: mask features, float32 (B, E, H, W).
            content, position: of the queries, (B, N, D); the last of them are the ``noisy`` ones.
        """
        pixels, places, small = [], [], []
        for x, embedding in zip(levels, self.level_embedding, strict=True):
            pixels.append(x.flatten(2).transpose(1, 2) + embedding.to(x.dtype))
            where = coordinate_channels(x[:1], 1).flatten(2).transpose(1, 2)
            places.append(sine_code(where, self.dim).to(x.dtype))
            small.append(resize_to(basis, x).detach())
        together = None if noisy is None else noisy.together(content.shape[1])
        queries, stages = content, [self.predictor(content)]
        for i, (layer, level) in enumerate(zip(self.layers, self.schedule, strict=True)):
            with torch.no_grad():
                seen = seen_through(mask_logits(stages[-1]["kernels"], small[level]))
                if noisy is not None and i == 0:
                    given = F.adaptive_max_pool2d(noisy.regions.float(), levels[level].shape[-2:]) > 0
                    seen = torch.cat([seen[:, : -given.shape[1]], given.flatten(2)], 1)
            queries = layer(queries, position, pixels[level], places[level], seen, together)
            stages.append(self.predictor(queries))
        return stages
