"""The distance of a set of translated images from the set of their targets."""

import math

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from torch import nn
from torchvision.models import inception_v3

from cellmm.errors import CellMMError
from cellmm.evaluation import functional as F
from cellmm.evaluation.metrics import FrechetMetric


def by_definition(one: np.ndarray, other: np.ndarray) -> float:
    means = one.mean(axis=0) - other.mean(axis=0)
    covariances = [np.cov(values, rowvar=False) for values in (one, other)]
    root = sqrtm(covariances[0] @ covariances[1])
    return float(means @ means + np.trace(sum(covariances) - 2 * root.real))


@pytest.mark.parametrize("numbers", [(200, 150), (20, 7), (4, 40)])
def test_the_distance_is_that_of_the_definition(numbers):
    """Also with fewer vectors than features, where the covariances are singular."""
    rng = np.random.default_rng(0)
    one = rng.normal(0, 1, (numbers[0], 12)) @ rng.normal(0, 1, (12, 12))
    other = rng.normal(0.5, 2, (numbers[1], 12))
    assert F.frechet_distance(one, other) == pytest.approx(by_definition(one, other), rel=1e-5)
    assert F.frechet_distance(one, one) == pytest.approx(0, abs=1e-9)
    with pytest.raises(ValueError, match=r"\(1, 12\)"):
        F.frechet_distance(one[:1], other)


def test_bands_of_the_spectrum_do_not_depend_on_the_size():
    rng = np.random.default_rng(0)
    large, small = (
        F.spectrum_features(rng.normal(0, 0.3, (2, size, size + 16))).mean(axis=1) for size in (256, 64)
    )
    assert large.shape == (2,)
    np.testing.assert_allclose(small, large, atol=1)
    wave = np.sin(2 * np.pi * 0.25 * np.arange(128)) * np.ones((1, 128, 1))
    assert F.spectrum_features(wave)[0].argmax() in (15, 16)


def images(seed: int, number: int = 6) -> list[torch.Tensor]:
    rng = np.random.default_rng(seed)
    return [torch.from_numpy(rng.uniform(-1, 1, (2, 24, 32))).float() for _ in range(number)]


def distance(metric: FrechetMetric, predicted: list[torch.Tensor], real: list[torch.Tensor]) -> float:
    for number, pair in enumerate(zip(predicted, real, strict=True)):
        sample = dict(zip(("pred_image", "gt_image"), pair, strict=True))
        metric.process(None, [dict(sample, img_id=number, img_path=f"{number}.tif")])
    scores = metric.evaluate(len(real))
    assert list(scores) == metric.metric_keys
    return scores[metric.metric_keys[0]]


def test_without_weights_it_is_named_after_what_it_sees():
    """It is a distance of sets: the same images in another order have none."""
    metric, real = FrechetMetric(), images(0, 20)
    assert metric.metric_keys == ["FD_spectrum"]
    assert distance(metric, real[::-1], real) == pytest.approx(0, abs=1e-3)
    blurred = [nn.functional.avg_pool2d(image, 3, 1, 1) for image in real]
    assert distance(metric, blurred, real) > 10 * distance(metric, images(1, 20), real)
    assert math.isnan(distance(metric, real[:1], real[1:2]))


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Of a network that knows nothing, with features that differ."""
    path = tmp_path_factory.mktemp("inception") / "inception_v3.pth"
    network = inception_v3(weights=None, init_weights=False)
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, generator=generator)
    torch.save(network.state_dict(), path)
    yield path
    path.unlink()


def test_fid_is_the_distance_of_inceptions_features(weights):
    real, predicted = images(0, 2), images(1, 2)
    metric = FrechetMetric(weights=str(weights))
    assert metric.metric_keys == ["FID"]
    found = distance(metric, predicted, real)
    network = inception_v3(weights=None, init_weights=False, transform_input=False).eval()
    network.load_state_dict(torch.load(weights, weights_only=True))
    features = []
    network.avgpool.register_forward_hook(lambda _, __, output: features.append(output.flatten(1).numpy()))
    for image in (*predicted, *real):
        grey = nn.functional.interpolate(image[:, None], (299, 299), mode="bilinear", antialias=True)
        with torch.no_grad():
            network(grey.repeat(1, 3, 1, 1))
    features = np.concatenate(features)
    assert features.shape == (8, 2048)
    assert found == pytest.approx(F.frechet_distance(features[:4], features[4:]), rel=1e-3)


def test_weights_that_are_not_there_or_of_another_network(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(CellMMError, match=r"none\.pth: no such file; give torchvision's weights"):
        FrechetMetric(weights=str(tmp_path / "none.pth"))
    with pytest.raises(CellMMError, match="inception_v3.*cellmm downloads nothing"):
        FrechetMetric(weights="torchvision://inception_v3")
    other = tmp_path / "other.pth"
    for content in (dict(weight=torch.zeros(2)), [1]):
        torch.save(content, other)
        with pytest.raises(CellMMError, match=r"other\.pth: not torchvision's weights of inception_v3"):
            FrechetMetric(weights=str(other))
    other.write_bytes(b"")
    with pytest.raises(CellMMError, match=r"other\.pth: not torchvision's"):
        FrechetMetric(weights=str(other))
