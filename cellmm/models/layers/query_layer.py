"""A layer of a transformer's decoder: queries look at pixels under their masks, and at each other."""

from torch import Tensor, nn
from torch.nn import functional as F


def seen_through(mask_logits: Tensor) -> Tensor:
    """Which pixels queries may look at: those of their masks. (B, N, h, w) logits -> bool (B, N, h w).

    A pixel is blocked where the mask's probability is below a half. A query whose mask is empty sees all
    pixels, for a softmax over none is not a number. Source: Mask2Former (3.2).
    """
    logits = mask_logits.flatten(2)
    return (logits >= 0) | (logits.amax(-1, keepdim=True) < 0)


class MaskedAttention(nn.Module):
    """Attention of several heads, where each query may look at some of the keys only.

    Queries (B, N, D), keys and values (B, P, D), ``seen`` bool (B or 1, N, P), at least one True in each row;
    None: all -> (B, N, D). Scores are not kept: memory grows with N + P, where torch has such a kernel.
    """

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query, self.key, self.value, self.out = (nn.Linear(dim, dim) for _ in range(4))
        for layer in (self.query, self.key, self.value, self.out):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, queries: Tensor, keys: Tensor, values: Tensor, seen: Tensor | None = None) -> Tensor:
        q, k, v = (
            layer(x).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for layer, x in ((self.query, queries), (self.key, keys), (self.value, values))
        )
        found = F.scaled_dot_product_attention(q, k, v, None if seen is None else seen[:, None])
        return self.out(found.transpose(1, 2).flatten(2))


class QueryLayer(nn.Module):
    """Masked attention to the pixels, attention to the other queries, a perceptron; a norm after each.

    Source: Mask2Former (3.2): masked attention comes first, and there is no dropout.

    Args:
        dim: D.
        num_heads: of both attentions.
        feedforward: width of the perceptron.
    """

    def __init__(self, dim: int, num_heads: int, feedforward: int) -> None:
        super().__init__()
        self.look = MaskedAttention(dim, num_heads)
        self.talk = MaskedAttention(dim, num_heads)
        self.mlp = nn.Sequential(
            nn.Linear(dim, feedforward), nn.ReLU(inplace=True), nn.Linear(feedforward, dim)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(3))

    def forward(
        self,
        queries: Tensor,
        position: Tensor,
        pixels: Tensor,
        places: Tensor,
        seen: Tensor | None,
        together: Tensor | None = None,
    ) -> Tensor:
        """Queries (B, N, D) at ``position`` (B, N, D) -> (B, N, D).

        Args:
            pixels, places: of a level and where they lie, (B, P, D) and (1 or B, P, D).
            seen: see ``seen_through``; None: all.
            together: which queries may look at which, bool (B or 1, N, N); None: all at all.
        """
        queries = self.norms[0](queries + self.look(queries + position, pixels + places, pixels, seen))
        placed = queries + position
        queries = self.norms[1](queries + self.talk(placed, placed, queries, together))
        return self.norms[2](queries + self.mlp(queries))
