"""The convolution blocks of the U-Net family."""

import torch
from torch import Tensor, nn

from cellmm.models.layers.activation_checkpointing import CheckpointedSequential


def norm_layer(name: str, channels: int) -> nn.Module:
    """``'BN'``: batch normalisation; ``'GN'``: group normalisation, at most 8 groups; ``'none'``."""
    if name == "BN":
        return nn.BatchNorm2d(channels)
    if name == "GN":
        return nn.GroupNorm(next(g for g in (8, 4, 2, 1) if channels % g == 0), channels)
    if name == "none":
        return nn.Identity()
    raise ValueError(f"norm must be 'BN', 'GN' or 'none', got {name!r}")


class SqueezeExcite(nn.Module):
    """Rescale every channel by a gate in (0, 1) computed from the channels' spatial means.

    (B, C, H, W) -> the same. Source: sparseseunet 4.2.1; Hu et al., Squeeze-and-Excitation Networks.
    """

    def __init__(self, channels: int, reduction: int = 8) -> None:
        super().__init__()
        hidden = max(channels // reduction, 4)
        self.gate = nn.Sequential(
            nn.Linear(channels, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, channels), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(x.mean((2, 3)))[:, :, None, None]


class ConvNormAct(CheckpointedSequential):
    """Convolution, normalisation, ReLU; the convolution has a bias where ``norm`` is ``'none'``.

    (B, C, H, W) -> (B, C', ceil(H/s), ceil(W/s)) with ``padding='same'``; ``'valid'`` convolves only where
    there are pixels: ceil((H - k + 1)/s).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        norm: str = "BN",
        padding: str = "same",
    ) -> None:
        if padding not in ("same", "valid"):
            raise ValueError(f"padding must be 'same' or 'valid', got {padding!r}")
        pixels = kernel_size // 2 if padding == "same" else 0
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel_size, stride, pixels, bias=norm == "none"),
            norm_layer(norm, out_channels),
            nn.ReLU(inplace=True),
        )


class ConvStack(CheckpointedSequential):
    """``depth`` 3x3 ConvNormAct blocks in a row, then a squeeze-and-excitation gate if ``se``."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        depth: int = 2,
        norm: str = "BN",
        se: bool = True,
        padding: str = "same",
    ) -> None:
        blocks: list[nn.Module] = [
            ConvNormAct(in_channels if i == 0 else out_channels, out_channels, norm=norm, padding=padding)
            for i in range(depth)
        ]
        if se:
            blocks.append(SqueezeExcite(out_channels))
        super().__init__(*blocks)


class Upsample(nn.Module):
    """Twice as many rows and columns: a 2x2 transposed convolution to ``out_channels`` (``'deconv'``), or
    each pixel four times (``'nearest'``, which keeps the channels)."""

    def __init__(self, in_channels: int, out_channels: int, mode: str = "deconv") -> None:
        super().__init__()
        if mode not in ("deconv", "nearest"):
            raise ValueError(f"upsample must be 'deconv' or 'nearest', got {mode!r}")
        self.out_channels = out_channels if mode == "deconv" else in_channels
        self.up = (
            nn.ConvTranspose2d(in_channels, out_channels, 2, 2)
            if mode == "deconv"
            else nn.Upsample(scale_factor=2, mode="nearest")
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.up(x)


def num_coordinates(order: int) -> int:
    """How many channels ``coordinate_channels`` gives; raises ValueError for an unknown order."""
    if order not in (0, 1, 2):
        raise ValueError(f"coord_order must be 0, 1 or 2, got {order}")
    return (0, 2, 5)[order]


def coordinate_channels(x: Tensor, order: int) -> Tensor:
    """Polynomials of the pixel position for a map like ``x`` (B, C, H, W), each in about [-1, 1].

    ``order`` 0: none, (B, 0, H, W); 1: x, y (coordinate convolution); 2: also x^2, x y, y^2, so that a
    linear map of the channels can be the log of any oriented Gaussian window. float32 in ``x``'s frame:
    -1 and 1 are the centres of the first and the last pixel of the longer side.
    """
    height, width = x.shape[-2:]
    if num_coordinates(order) == 0:
        return x.new_zeros(x.shape[0], 0, height, width)
    ys = torch.arange(height, device=x.device, dtype=torch.float32) - (height - 1) / 2
    xs = torch.arange(width, device=x.device, dtype=torch.float32) - (width - 1) / 2
    half = torch.maximum(ys[-1], xs[-1]).clamp(min=0.5)  # a tensor: an exported graph takes other sizes
    grid_y, grid_x = torch.meshgrid(ys / half, xs / half, indexing="ij")
    planes = [grid_x, grid_y]
    if order == 2:
        planes += [grid_x**2, grid_x * grid_y, grid_y**2]
    return torch.stack(planes).expand(x.shape[0], -1, -1, -1)
