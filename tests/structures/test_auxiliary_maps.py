"""Maps beside the masks, against one cell after the other by scipy."""

import numpy as np
import pytest
from scipy import ndimage

from cellmm.structures import LabelLayers
from cellmm.structures.auxiliary_maps import (
    boundary_map,
    cell_centres,
    centre_map,
    distance_map,
    offset_maps,
)


@pytest.fixture(scope="module")
def masks() -> np.ndarray:
    """Twelve ellipses that touch, overlap and are cut by the border, a single pixel, and nothing."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:60, :70]
    found = []
    for _ in range(12):
        row, col, a, b, angle = *rng.uniform(0, (60, 70)), *rng.uniform(3, 14, 2), rng.uniform(0, 3)
        u = (y - row) * np.cos(angle) + (x - col) * np.sin(angle)
        v = (x - col) * np.cos(angle) - (y - row) * np.sin(angle)
        found.append((u / a) ** 2 + (v / b) ** 2 <= 1)
    pixel = np.zeros((60, 70), bool)
    pixel[30, 3] = True
    return np.array([*found, pixel, np.zeros((60, 70), bool)])


def test_centres(masks):
    expected = np.zeros((60, 70))
    for mask in masks[masks.any((1, 2))]:
        expected[tuple(int(value) for value in ndimage.center_of_mass(mask))] = 1
    expected = ndimage.gaussian_filter(expected, 5)
    found = centre_map(LabelLayers.from_masks(masks))
    assert found.dtype == np.float32 and found.max() == 1
    assert np.allclose(found, expected / expected.max(), atol=1e-5)
    assert np.isnan(cell_centres(LabelLayers.from_masks(masks))[-1]).all()


def test_boundaries(masks):
    expected = [ndimage.binary_dilation(mask) ^ ndimage.binary_erosion(mask) for mask in masks]
    cells = LabelLayers.from_masks(masks)
    assert cells.num_layers > 1
    assert np.array_equal(boundary_map(cells), np.any(expected, 0))


def test_touching_cells_of_one_layer_have_outlines_between_them():
    cells = LabelLayers(np.repeat([[1, 1, 1, 2, 2, 2]], 5, 0))
    assert boundary_map(cells)[2].tolist() == [True, False, True, True, False, True]


def test_distances(masks):
    expected = np.zeros((60, 70))
    for mask in masks[masks.any((1, 2))]:
        depth = ndimage.distance_transform_edt(mask)
        expected = np.maximum(expected, depth / depth.max())
    assert np.allclose(distance_map(LabelLayers.from_masks(masks)), expected, atol=1e-4)


def test_offsets_lead_to_the_nearest_centre(masks):
    kept = masks[masks.any((1, 2))]
    found = offset_maps(LabelLayers.from_masks(masks))
    y, x = np.mgrid[:60, :70]
    centres = np.array([ndimage.center_of_mass(mask) for mask in kept])
    away = np.where(kept, np.hypot(centres[:, 0, None, None] - y, centres[:, 1, None, None] - x), np.inf)
    own = centres[away.argmin(0)]
    expected = np.where(kept.any(0), np.stack([own[..., 0] - y, own[..., 1] - x]), 0)
    assert np.allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize("shape", [(1, 1), (40, 3)])
def test_images_without_cells_and_of_one_cell(shape):
    for cells in (LabelLayers.empty(*shape), LabelLayers(np.ones(shape, int))):
        top = float(len(cells))
        assert centre_map(cells).max() == top and distance_map(cells).max() == top
        assert offset_maps(cells).shape == (2, *shape)
        assert boundary_map(cells).any() == bool(top)  # the border of the image cuts the cell
