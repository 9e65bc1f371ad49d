"""Instance activation maps: where each query looks for its features."""

from abc import abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cellmm.models.layers import coordinate_channels
from cellmm.models.layers.blocks import num_coordinates
from cellmm.models.layers.mask_kernels import grid_of_gaussians
from cellmm.registry import MODELS


class _Activation(nn.Module):
    """A 3x3 convolution to N maps, F(I) of sparseseunet 4.5.2, and what makes weights of its logits.

    ``forward``: the instance branch's map (B, C, h, w) -> weights (B, N, h, w), float32, not negative.

    Args:
        in_channels: C. The head gives this and the next two.
        num_queries: N.
        coord_order: pixel positions that the convolution sees, see ``coordinate_channels``.
        spatial_prior: start the maps as Gaussians of this standard deviation (half image sides) on a regular
            grid, one per query; needs ``coord_order=2``. 0: ordinary initialisation, as published.
    """

    def __init__(
        self, in_channels: int, num_queries: int, coord_order: int = 0, spatial_prior: float = 0.0
    ) -> None:
        super().__init__()
        if spatial_prior and coord_order != 2:
            raise ValueError(f"spatial_prior needs coord_order=2 of the head, got {coord_order}")
        self.coord_order, self.spatial_prior = coord_order, spatial_prior
        self.num_coords = num_coordinates(coord_order)
        self.conv = nn.Conv2d(in_channels + self.num_coords, num_queries, 3, padding=1)

    def reset_parameters(self) -> None:
        """Small random weights, or the prior."""
        nn.init.normal_(self.conv.weight, std=0.01)
        nn.init.zeros_(self.conv.bias)
        if self.spatial_prior:
            window, constant = grid_of_gaussians(self.conv.out_channels, self.spatial_prior)
            with torch.no_grad():
                self.conv.weight[:, -self.num_coords :, 1, 1] = window
                self.conv.bias.copy_(constant)

    def logits(self, x: Tensor) -> Tensor:
        """(B, N, h, w), float32; the part of the convolution on the positions is computed in float32 too."""
        coords = coordinate_channels(x, self.coord_order)
        content, place = self.conv.weight.split([x.shape[1], self.num_coords], dim=1)
        logits = F.conv2d(x, content, padding=1).float() + self.conv.bias[:, None, None]
        if not self.num_coords:
            return logits
        with torch.autocast(x.device.type, enabled=False):
            return logits + F.conv2d(coords, place, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.normalise(self.logits(x))

    @abstractmethod
    def normalise(self, logits: Tensor) -> Tensor:
        """Logits (B, N, h, w) -> weights; features are averaged under them, so their sum does not matter."""


@MODELS.register_module()
class InstanceActivation(_Activation):
    """Weights by a sigmoid, as published. Source: sparseseunet 4.5.2, SparseInst."""

    def normalise(self, logits: Tensor) -> Tensor:
        return logits.sigmoid()


@MODELS.register_module()
class SoftmaxInstanceActivation(_Activation):
    """Weights by a softmax over the pixels. Source: SparseInst."""

    def normalise(self, logits: Tensor) -> Tensor:
        return logits.flatten(2).softmax(-1).view_as(logits)
