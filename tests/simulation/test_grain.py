"""Noise and texture come back with the standard deviations that they were drawn with."""

import numpy as np
import pytest

from cellmm.simulation.grain import SCALES, draw_grain, measure_grain, tiles


@pytest.mark.parametrize("deviations", [(1, 0, 0, 0), (0.5, 1, 0, 2), (0, 0, 3, 0)])
def test_what_is_drawn_is_measured(deviations):
    noise = draw_grain(np.random.default_rng(3), (256, 320), deviations)
    assert measure_grain(noise, np.ones(noise.shape, int)) == pytest.approx(
        deviations, abs=0.3 * max(deviations)
    )


def test_a_few_tiles_with_dust_do_not_count():
    noise = draw_grain(np.random.default_rng(0), (160, 160), (1, 0, 0, 0))
    noise[:30, :60] += 50 * (np.arange(60) % 2)
    found = measure_grain(noise, tiles(np.ones(noise.shape, bool)))
    assert found[0] == pytest.approx(1, abs=0.1)


def test_too_few_pixels():
    assert measure_grain(np.zeros((8, 8)), np.eye(8, dtype=int)) is None
    assert len(SCALES) == 4
