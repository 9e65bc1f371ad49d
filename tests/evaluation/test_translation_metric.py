"""How much translated images resemble their targets."""

import math

import numpy as np
import pytest
import torch

from cellmm.errors import CellMMError
from cellmm.evaluation import functional as F
from cellmm.evaluation.metrics import TranslationMetric


def sine(cycles: float, size: int = 64) -> np.ndarray:
    return np.tile(np.sin(2 * np.pi * cycles * np.arange(size) / size), (size, 1))


def test_ssim_of_constant_images_by_hand():
    """(2 a b + C) / (a^2 + b^2 + C), C = (0.01 data_range)^2: there is no variance."""
    a, b, c = 0.5, -0.2, 0.02**2
    found = F.ssim(np.full((1, 9, 9), a), np.full((1, 9, 9), b), data_range=2)
    assert found == pytest.approx((2 * a * b + c) / (a * a + b * b + c))
    assert math.isnan(F.ssim(np.zeros((1, 6, 9)), np.zeros((1, 6, 9)), 2))


def test_power_of_a_wave_lies_in_its_ring():
    power = F.radial_power(sine(10))
    assert power.shape == (32,) and power.argmax() == 10
    assert power[9:12].sum() > 0.999 * power.sum()
    assert F.radial_power(np.full((20, 30), 5.0)).sum() == pytest.approx(0)


def test_power_of_white_noise_is_its_variance():
    noise = np.random.default_rng(0).normal(0, 3, (256, 192))
    assert F.radial_power(noise)[5:].mean() == pytest.approx(9, rel=0.05)


def test_distance_of_spectra():
    """Half the amplitude is a quarter of the power, 6.02 dB; a blurred image, which L1 forgives, is far."""
    rng = np.random.default_rng(0)
    truth = rng.normal(0, 0.3, (2, 64, 64))
    assert F.power_spectrum_distance(truth, truth) == 0
    assert F.power_spectrum_distance(truth / 2, truth) == pytest.approx(20 * np.log10(2), abs=1e-3)
    other = rng.normal(0, 0.3, (2, 64, 64))
    blurred = np.zeros_like(truth)
    assert F.mean_absolute_error(blurred, truth) < F.mean_absolute_error(other, truth)
    assert F.power_spectrum_distance(blurred, truth) > 10 * F.power_spectrum_distance(other, truth)


def sample(number: int, image, truth) -> dict:
    return dict(img_id=number, img_path=f"{number}.tif", pred_image=image, gt_image=truth)


def test_the_mean_of_images():
    truth = torch.zeros(1, 16, 16)
    metric = TranslationMetric()
    metric.process(None, [sample(1, truth + 0.5, truth)])
    metric.process(None, [sample(2, truth, truth)])
    scores = metric.evaluate(2)
    assert scores["L1"] == pytest.approx(0.25) and scores["spectrum"] == pytest.approx(0)
    assert scores["SSIM"] == pytest.approx((1 + 0.02**2 / (0.25 + 0.02**2)) / 2)
    assert list(scores) == metric.metric_keys


def test_what_is_missing_is_named():
    truth = torch.zeros(1, 16, 16)
    with pytest.raises(CellMMError, match=r"1\.tif: .*\(2, 16, 16\).*target is \(1, 16, 16\)"):
        TranslationMetric().process(None, [sample(1, torch.zeros(2, 16, 16), truth)])
    with pytest.raises(CellMMError, match=r"1\.tif: no gt_image; end the pipeline with PackImagePair"):
        TranslationMetric().process(None, [dict(img_id=1, img_path="1.tif", pred_image=truth)])
    metric = TranslationMetric()
    metric.process(None, [sample(1, truth, truth)])
    with pytest.raises(CellMMError, match="1 of 2 images"):
        metric.evaluate(2)
