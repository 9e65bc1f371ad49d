"""The best linear filter from one image to another: what a network has to beat."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cellmm.checks import check_whole

STRIP = 32  # rows whose neighbourhoods are in memory at once


def fit_linear_filter(
    pairs: Iterable[tuple[Tensor, Tensor]], size: int = 15, ridge: float = 1e-6
) -> nn.Conv2d:
    """The convolution ``size`` x ``size`` with a constant that has the least squared error over all pairs.

    Defocused brightfield and phase contrast of thin cells are nearly linear in each other, so this baseline
    of a generator is not weak; it cannot add texture that the input lacks. Pixels nearer to a border than
    half of ``size`` are not fitted; the convolution takes the border's pixels outside.

    Args:
        pairs: inputs (C, H, W) and targets (C', H, W), as of PackImagePair.
        size: px, odd.
        ridge: times the mean diagonal of the normal equations, added to it: keeps frequencies that the input
            lacks from being enlarged.

    Raises:
        ValueError: an even ``size``, a negative ``ridge``, or no pair as large as ``size``.
    """
    check_whole(1, size=size)
    if size % 2 == 0 or ridge < 0:
        raise ValueError(f"size must be odd and ridge 0 or more, got {size} and {ridge}")
    gram = moments = None
    margin = size // 2
    for image, target in pairs:
        channels, height, width = image.shape
        for top in range(0, height - size + 1, STRIP):
            rows = image[None, :, top : top + STRIP + size - 1].double()
            seen = F.unfold(rows, size)[0]  # (C size^2, pixels)
            seen = torch.cat([seen, seen.new_ones(1, seen.shape[1])])
            wanted = target[
                :, top + margin : top + margin + rows.shape[-2] - size + 1, margin : width - margin
            ]
            wanted = wanted.reshape(len(target), -1).double()
            gram = seen @ seen.T + (0 if gram is None else gram)
            moments = seen @ wanted.T + (0 if moments is None else moments)
    if gram is None:
        raise ValueError(f"no pair of images with {size}x{size} px or more")
    gram.diagonal()[:-1] += ridge * gram.diagonal()[:-1].mean()
    solution = torch.linalg.solve(gram, moments)
    found = nn.Conv2d(channels, len(target), size, padding=margin, padding_mode="replicate")
    with torch.no_grad():
        found.weight.copy_(solution[:-1].T.reshape(found.weight.shape))
        found.bias.copy_(solution[-1])
    return found
