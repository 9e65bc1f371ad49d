"""The best linear filter."""

import pytest
import torch
from torch import nn

from cellmm.models.translation import fit_linear_filter


def images(number=2, size=(50, 41)):
    rng = torch.Generator().manual_seed(0)
    return [torch.randn(2, *size, generator=rng) for _ in range(number)]


def test_it_finds_the_filter_that_made_the_target():
    torch.manual_seed(0)
    truth = nn.Conv2d(2, 3, 5, padding=2, padding_mode="replicate")
    with torch.no_grad():
        pairs = [(image, truth(image)) for image in images()]
        found = fit_linear_filter(pairs, size=7, ridge=0.0)
        torch.testing.assert_close(found.weight[:, :, 1:-1, 1:-1], truth.weight, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(found.bias, truth.bias, rtol=1e-4, atol=1e-5)
        assert found.weight[:, :, 0].abs().max() < 1e-5
        torch.testing.assert_close(found(pairs[0][0]), pairs[0][1], rtol=1e-4, atol=1e-4)


def test_no_filter_near_it_has_a_smaller_error():
    image, noise = images()
    target = image.roll(1, -1) + 0.5 * noise

    def error(filter_, at=slice(1, -1)):
        return (filter_(image) - target)[:, at, at].square().mean()

    with torch.no_grad():
        found = fit_linear_filter([(image, target)], size=3, ridge=0.0)
        best = error(found)
        for step in (1e-2, -1e-2):
            found.weight[0, 0, 1, 1] += step
            assert error(found) > best
            found.weight[0, 0, 1, 1] -= step


def test_the_ridge_shrinks_it():
    pairs = [(image, image) for image in images()]
    plain, shrunk = (fit_linear_filter(pairs, size=3, ridge=ridge) for ridge in (0.0, 1.0))
    assert shrunk.weight.norm() < plain.weight.norm()


def test_what_cannot_be_fitted():
    with pytest.raises(ValueError, match="odd"):
        fit_linear_filter([], size=4)
    with pytest.raises(ValueError, match="no pair"):
        fit_linear_filter([(torch.zeros(1, 4, 4), torch.zeros(1, 4, 4))], size=5)
