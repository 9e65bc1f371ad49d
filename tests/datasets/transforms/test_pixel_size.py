"""RescaleToPixelSize: cells of several microscopes come out alike."""

import numpy as np
import pytest

from cellmm.errors import CellMMError
from cellmm.registry import TRANSFORMS
from cellmm.structures import LabelLayers


def build(pixel_size):
    return TRANSFORMS.build(dict(type="RescaleToPixelSize", pixel_size=pixel_size))


def image(pixel_size, shape=(60, 80)):
    """A cell of 20 x 20 micrometres."""
    layers = np.zeros((1, *shape), np.int32)
    height, width = (round(20 / side) for side in pixel_size)
    layers[0, 8 : 8 + height, 4 : 4 + width] = 1
    return dict(
        img_path="a.tif",
        img=layers[0, ..., None].astype(np.float32),
        img_shape=shape,
        pixel_size=pixel_size,
        to_original=np.eye(3),
        gt_layers=LabelLayers(layers),
        gt_labels=np.zeros(1, np.int64),
        gt_ignore=np.zeros(1, bool),
        gt_areas=np.zeros(1),
    )


@pytest.mark.parametrize("stated", [(1.0, 1.0), (0.5, 0.5), (2.0, 1.0), (0.5, 2.5)])
def test_a_cell_has_the_same_pixels_whatever_the_file(stated):
    results = build(1.0)(image(stated))
    assert results["img_shape"] == (round(60 * stated[0]), round(80 * stated[1]))
    assert results["gt_layers"].areas().tolist() == [400]
    assert results["pixel_size"] == stated and results["model_pixel_size"] == (1, 1)
    corner = results["to_original"] @ [-0.5, -0.5, 1]
    np.testing.assert_allclose(corner, [-0.5, -0.5, 1])
    np.testing.assert_allclose(np.diag(results["to_original"])[:2], [1 / stated[1], 1 / stated[0]], rtol=0.01)


def test_earlier_steps_count():
    """After Rescale the pixels of the image are no longer those of the file."""
    results = TRANSFORMS.build(dict(type="Rescale", factor=0.5))(image((0.5, 0.5)))
    results = build((1.0, 2.0))(results)
    assert results["img_shape"] == (30, 20)


def test_a_file_without_a_pixel_size_is_refused():
    with pytest.raises(CellMMError, match=r"^a\.tif does not state its pixel size, .* 0\.65 x 0\.65 micro"):
        build(0.65)(image((1.0, 1.0)) | dict(pixel_size=None))
    for wrong in (0, -1, float("inf"), (1, 2, 3), ()):
        with pytest.raises(ValueError, match="RescaleToPixelSize: pixel_size is"):
            build(wrong)


def test_a_pixel_size_that_makes_a_huge_image_is_refused():
    """As of a file that states metres where it means micrometres."""
    with pytest.raises(
        CellMMError, match=r"^a\.tif has pixels of 1e\+06 x 1e\+06 .*\(60000000, 80000000\) pixels"
    ):
        build(1.0)(image((1.0, 1.0)) | dict(pixel_size=(1e6, 1e6)))
