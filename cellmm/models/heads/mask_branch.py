"""The mask branch of SparseSEUNet: the features that mask kernels act on."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cellmm.checks import check_whole
from cellmm.models.layers import TopDownBranch, coordinate_channels
from cellmm.models.layers.mask_kernels import monomials, place_kernels, resize_to
from cellmm.registry import MODELS


@MODELS.register_module()
class MaskBranch(TopDownBranch):
    """Decoder maps -> a basis: a mask's logits are its kernel times the basis plus a bias.

    The basis (B, E, h, w) has ``mask_dim`` learned channels and, for each of ``num_fields`` fields in which
    every pixel is moved to a learned place of its cell, the five monomials of that place: kernels cut
    quadratic windows there (after Novotny et al., Semi-convolutional Operators for Instance Segmentation).
    Source: sparseseunet 4.5.2; the fields are ours.

    Args:
        mask_dim: learned channels of the basis.
        num_fields: fields of moved positions; 0 as published.
        match_level: the decoder map whose size the masks have when queries and cells are matched, and when
            masks pool features; 0: full resolution. Losses always see the full resolution.
        in_channels, branch: see TopDownBranch.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        mask_dim: int = 128,
        num_fields: int = 0,
        match_level: int = 0,
        **branch,
    ) -> None:
        super().__init__(in_channels, **branch)
        check_whole(1, mask_dim=mask_dim)
        check_whole(0, num_fields=num_fields, match_level=match_level)
        self.mask_dim, self.num_fields, self.match_level = mask_dim, num_fields, match_level
        self.features = nn.Conv2d(self.channels, mask_dim, 1)
        if num_fields:
            self.displacement = nn.Conv2d(self.channels, 2 * num_fields, 1)

    @property
    def kernel_size(self) -> int:
        """Numbers of a mask's kernel, with its bias: E + 1."""
        return self.mask_dim + 5 * self.num_fields + 1

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """The basis (B, E, h, w), the basis at ``match_level``, and ``positions`` (B, 2 num_fields, h, w)."""
        x = super().forward(features)
        positions = self.positions(x)
        basis = torch.cat([self.features(x).float(), monomials(positions)], 1)
        return basis, resize_to(basis, features[self.match_level]), positions

    def positions(self, x: Tensor) -> Tensor:
        """Moved pixel positions, x and y of each field: float32 (B, 2 num_fields, h, w)."""
        if not self.num_fields:
            return x.new_zeros(len(x), 0, *x.shape[-2:], dtype=torch.float32)
        position = coordinate_channels(x, 1).repeat(1, self.num_fields, 1, 1)
        return position + self.displacement(x).float()

    def place(self, kernels: Tensor, centres: Tensor) -> Tensor:
        """Kernels (B, N, E + 1) whose windows lie around ``centres`` (B, N, 2 num_fields), for the basis."""
        return place_kernels(kernels, centres, self.mask_dim)
