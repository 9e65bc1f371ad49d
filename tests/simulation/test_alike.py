"""Masks with the measurements that are asked for."""

import numpy as np
import pytest
from scipy import ndimage

from cellmm.results.instances import Instances
from cellmm.results.measurements import measure
from cellmm.simulation.alike import level_at
from cellmm.simulation.shapes import make_mask
from cellmm.structures import LabelLayers


def measured(number=10, **asked) -> dict[str, float]:
    rng = np.random.default_rng(1)
    masks = [np.pad(make_mask(rng, **asked), 2) for _ in range(number)]
    tables = [measure(Instances.of_layers(LabelLayers.from_masks(mask[None], mask.shape))) for mask in masks]
    names = ("area", "length", "width_max", "curvature", "feret_diameter_max", "solidity")
    return {name: float(np.median([table[name][0] for table in tables])) for name in names}


@pytest.mark.parametrize(
    "asked",
    [
        dict(length=100, width=9, area=750, turn=2.5, extent=0.8, roughness=0.03),
        dict(length=100, width=9, area=700, turn=0.2, extent=1.0, roughness=0.03),
        dict(length=25, width=20, area=395, turn=0.0, extent=1.0, roughness=0.03),
    ],
)
def test_a_mask_has_the_measurements_that_are_asked_for(asked):
    found = measured(**asked)
    assert found["area"] == pytest.approx(asked["area"], rel=0.05)
    assert found["length"] == pytest.approx(asked["length"], rel=0.05)
    assert found["width_max"] == pytest.approx(asked["width"], rel=0.06)
    assert found["curvature"] * asked["length"] == pytest.approx(asked["turn"], rel=0.2, abs=0.2)
    assert found["feret_diameter_max"] / found["length"] == pytest.approx(asked["extent"], abs=0.06)


def test_a_cell_that_is_bent_to_a_ring_is_not_filled():
    rng = np.random.default_rng(0)
    asked = dict(length=110, width=10, area=900, turn=7.0, extent=0.33, roughness=0.03)
    masks = [make_mask(rng, **asked) for _ in range(20)]
    holes = [int((ndimage.binary_fill_holes(mask) & ~mask).sum()) for mask in masks]
    assert max(holes) > 200  # there are rings
    assert max(int(mask.sum()) for mask in masks) < 1.1 * asked["area"]


def test_a_rough_outline_has_dents():
    smooth, rough = (
        measured(length=30, width=24, area=560, turn=0, extent=1, roughness=roughness)
        for roughness in (0.03, 0.25)
    )
    assert rough["solidity"] < smooth["solidity"] - 0.005


def test_a_grid_as_an_image():
    level = level_at(np.array([[10.0, 20.0]]), (8, 200))
    assert level.shape == (8, 200) and level[:, 2] == pytest.approx(10) and level[:, -3] == pytest.approx(20)
    assert level[4, 99] == pytest.approx(15, abs=0.1) and (np.diff(level[0]) >= -1e-4).all()
