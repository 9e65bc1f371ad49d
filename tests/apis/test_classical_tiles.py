"""A model that thresholds whole images, in tiles."""

import numpy as np
import pytest
from scipy import ndimage

from cellmm.apis.inferencer import CellInferencer


@pytest.fixture(scope="module")
def image():
    """Dim cells in one corner, bright ones in another, and some at every side: uint16 (260, 300)."""
    rng = np.random.default_rng(0)
    image = np.zeros((260, 300))
    for row, y in enumerate(range(0, 261, 26)):
        for x in range(13 * (row % 2), 300, 30):
            image[min(y, 259), x] = 1 + 3 * (x > 150)
    image = ndimage.grey_dilation(image, footprint=np.hypot(*np.mgrid[-7:8, -7:8]) < 7.5)
    return (1000 + 2000 * image + rng.normal(0, 60, image.shape)).astype(np.uint16)


def cells_of(image, **options):
    model = dict(threshold=dict(method="otsu"), contrast="bright", **options)
    found = CellInferencer(
        "classical/nuclei", cfg_options={f"model.{key}": value for key, value in model.items()}
    )
    return found, found.predict(image)


@pytest.mark.parametrize("discard_border", [True, False])
def test_tiles_find_the_cells_of_the_whole_image(image, discard_border):
    _, whole = cells_of(image, discard_border=discard_border)
    inferencer, tiled = cells_of(image, discard_border=discard_border, tile=96, tile_overlap=40)
    (source,) = inferencer.open(image)
    assert len(inferencer.large.plan(source).grid) > 9
    assert len(whole) > 30  # the dim ones are below the threshold of the whole image
    (labels, _), (again, _) = whole.to_labels(), tiled.to_labels()
    assert len(tiled) == len(whole)
    np.testing.assert_array_equal(again > 0, labels > 0)


def test_a_part_of_the_pixels_tells_the_threshold_of_a_larger_image(image, monkeypatch):
    monkeypatch.setattr("cellmm.apis.large_images.MEASURED", 20_000)
    monkeypatch.setattr("cellmm.apis.large_images.BLOCK", 128)
    inferencer, _ = cells_of(image, tile=96, tile_overlap=40)
    (source,) = inferencer.open(image)
    levels = inferencer.large.plan(source).levels
    whole = inferencer.model.measure(
        inferencer.model.grey(inferencer.prepare(source, tiles=False).item["inputs"])
    )
    assert levels["dark"] is whole.dark
    assert levels["threshold"] == pytest.approx(whole.threshold, abs=0.02)
