"""The basis that mask kernels act on."""

import torch

from cellmm.models.layers import mask_logits
from cellmm.models.layers.mask_kernels import place_kernels
from cellmm.registry import MODELS


def test_shapes_of_the_bases():
    maps = [torch.rand(2, 3, 8, 12), torch.rand(2, 5, 4, 6)]
    branch = MODELS.build(
        dict(
            type="MaskBranch",
            in_channels=(3, 5),
            channels=4,
            depth=1,
            mask_dim=6,
            num_fields=2,
            match_level=1,
        )
    )
    basis, coarse, positions = branch(maps)
    assert (
        basis.shape == (2, 16, 8, 12) and coarse.shape == (2, 16, 4, 6) and positions.shape == (2, 4, 8, 12)
    )
    assert branch.kernel_size == 17 and basis.dtype == torch.float32
    torch.testing.assert_close(coarse, torch.nn.functional.avg_pool2d(basis, 2))
    published = MODELS.build(dict(type="MaskBranch", in_channels=(3, 5), channels=4, depth=1))
    basis, coarse, positions = published(maps)
    assert basis is coarse and basis.shape == (2, 128, 8, 12) and positions.shape == (2, 0, 8, 12)


def test_fields_are_a_quadratic_around_the_centre():
    """The multiplied-out kernel gives what the shifted quadratic says, by direct evaluation."""
    generator = torch.Generator().manual_seed(2)
    kernels = torch.randn(1, 3, 1 + 10 + 1, generator=generator)
    centres = torch.randn(1, 3, 4, generator=generator)
    positions = torch.randn(1, 4, 2, 2, generator=generator)
    x, y = positions[:, 0::2], positions[:, 1::2]
    content = torch.randn(1, 1, 2, 2, generator=generator)
    basis = torch.cat([content, x, y, x * x, x * y, y * y], 1)
    logits = mask_logits(place_kernels(kernels, centres, 1), basis)
    for query in range(3):
        value = kernels[0, query, 0] * content[0, 0] + kernels[0, query, -1]
        coefficients = 4 * kernels[0, query, 1:11].view(5, 2)
        for field in range(2):
            dx = x[0, field] - centres[0, query, 2 * field]
            dy = y[0, field] - centres[0, query, 2 * field + 1]
            px, py, pxx, pxy, pyy = coefficients[:, field]
            value = value + px * dx + py * dy + (pxx - 4) * dx**2 + pxy * dx * dy + (pyy - 4) * dy**2
        torch.testing.assert_close(logits[0, query], value, rtol=1e-4, atol=1e-4)
