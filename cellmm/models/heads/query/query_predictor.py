"""What a query says at each stage: a class, masks, and how good its mask is."""

from torch import Tensor, nn


class QueryPredictor(nn.Module):
    """Queries (B, N, D) -> the predictions of a stage, float32, from one set of weights for all stages.

    - ``cls_logits`` (B, N, K + 1): the classes and, last, "no object".
    - ``kernels`` (B, N, E + 1): the mask is its kernel times the mask features, plus the last number.
    - ``exclusive_kernels``, ``shared_kernels``: the same of the parts of a cell, with ``overlap_parts``.
    - ``quality_logits`` (B, N): the IoU that the mask is expected to have. It sees detached queries, so that
      ranking cannot harm masks.

    Source: Mask2Former (3.1) for classes and masks, a perceptron of three layers; the quality is ours, after
    Mask Scoring R-CNN.
    """

    def __init__(self, dim: int, num_classes: int, mask_dim: int, overlap_parts: bool) -> None:
        super().__init__()
        names = ("kernels", *(("exclusive_kernels", "shared_kernels") if overlap_parts else ()))
        self.norm = nn.LayerNorm(dim)
        self.classifier = nn.Linear(dim, num_classes + 1)
        self.masks = nn.ModuleDict({name: _perceptron(dim, dim, mask_dim + 1) for name in names})
        self.quality = _perceptron(dim, dim // 2, 1)

    def forward(self, queries: Tensor) -> dict[str, Tensor]:
        queries = self.norm(queries)
        stage = {name: layers(queries).float() for name, layers in self.masks.items()}
        stage["cls_logits"] = self.classifier(queries).float()
        stage["quality_logits"] = self.quality(queries.detach())[..., 0].float()
        return stage


def _perceptron(dim: int, hidden: int, outputs: int) -> nn.Sequential:
    """Three linear layers with ReLU between them."""
    return nn.Sequential(
        nn.Linear(dim, hidden),
        nn.ReLU(inplace=True),
        nn.Linear(hidden, hidden),
        nn.ReLU(inplace=True),
        nn.Linear(hidden, outputs),
    )
