"""The average of the weights holds none of the first weights, however short the training is."""

import mmengine.model
import pytest
import torch
from torch import nn

from cellmm.registry import MODELS


def average_of(values: list[float], **kwargs) -> float:
    """The average of a model of one weight that takes these values, one after the other."""
    model = nn.Linear(1, 1, bias=False)
    averaged = MODELS.build(dict(type="ExponentialMovingAverage", model=model, **kwargs))
    for value in values:
        nn.init.constant_(model.weight, value)
        averaged.update_parameters(model)
    return float(averaged.module.weight)


def test_the_config_name_means_the_warmed_up_average():
    assert MODELS.get("ExponentialMovingAverage") is not mmengine.model.ExponentialMovingAverage
    assert issubclass(MODELS.get("ExponentialMovingAverage"), mmengine.model.ExponentialMovingAverage)


def test_by_hand():
    # shares of the second and third value: 10 / 11 and 10 / 12
    assert average_of([1, 2, 4], momentum=0.01) == pytest.approx(4 * 10 / 12 + (1 / 11 + 20 / 11) * 2 / 12)


@pytest.mark.parametrize("steps", [2, 20, 200, 2_000])
def test_the_first_weights_are_forgotten_at_any_length(steps):
    left = average_of([1.0] * (steps // 2) + [0.0] * (steps - steps // 2), momentum=0.01)
    assert left < 0.1, f"{left:.0%} of the first half of {steps} steps is left"


def test_a_long_training_averages_with_the_momentum():
    values = torch.rand(3_000, generator=torch.Generator().manual_seed(0)).tolist()
    expected = 0.0
    for value in values:
        expected += 0.01 * (value - expected)
    assert average_of(values, momentum=0.01) == pytest.approx(expected, rel=1e-3)


def test_an_interval_counts_updates_not_steps():
    assert average_of([1, 9, 2, 9], momentum=0.01, interval=2) == pytest.approx(1 + 10 / 11)


@pytest.mark.parametrize("wrong", [dict(momentum=0), dict(momentum=2), dict(warmup=0)])
def test_values_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        average_of([1.0], **wrong)
