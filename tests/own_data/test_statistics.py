"""What is measured of images and cells, on drawings with known answers."""

import cv2
import numpy as np
import pytest
import tifffile

from cellmm.datasets import LabelImageDataset
from cellmm.errors import CellMMError
from cellmm.io.layered_tiff import write_layered_tiff
from cellmm.own_data import statistics
from cellmm.own_data.statistics import SetStatistics, measure_dataset, measure_image
from cellmm.structures import LabelLayers


def discs(centres, radius=10, shape=(96, 120)) -> LabelLayers:
    y, x = np.mgrid[: shape[0], : shape[1]]
    masks = [(y - cy) ** 2 + (x - cx) ** 2 <= radius**2 for cy, cx in centres]
    return LabelLayers.from_masks(np.array(masks, bool).reshape(-1, *shape), shape)


def saved(folder, number, cells, image=None):
    """An image with its cells, as a dataset of label images has them."""
    for name in ("images", "labels"):
        (folder / name).mkdir(exist_ok=True)
    if image is None:
        image = (1000 * cells.covered() + 100).astype(np.uint16)
    tifffile.imwrite(folder / f"images/{number}.tif", image)
    write_layered_tiff(folder / f"labels/{number}.tif", cells)


def opened(folder) -> LabelImageDataset:
    return LabelImageDataset(data_root=folder, allow_empty=True)


def test_an_image_by_hand(tmp_path):
    cells = discs([(30, 30), (30, 44), (5, 100)])
    saved(tmp_path, 1, cells)
    found = measure_image(opened(tmp_path).get_data_info(0))
    assert (found.shape, found.dtype, found.channels, found.color) == ((96, 120), "uint16", 1, False)
    assert found.areas.tolist() == cells.areas().tolist()
    assert found.diameter == pytest.approx(20, rel=0.03)
    assert found.lengths[:2] == pytest.approx(21, abs=1.5) and found.widths[:2] == pytest.approx(20, abs=2)
    assert found.shared == int(cells.overlap().sum()) > 50
    assert found.covered == int(cells.covered().sum())
    assert found.cut == 1 and not found.windowed
    assert found.levels.tolist() == [[100, 100, 1100]]


def test_long_cells_are_known_by_their_axis(tmp_path):
    mask = np.zeros((96, 120), np.uint8)
    cv2.ellipse(mask, (60, 20), (40, 40), 0, 20, 160, 1, 7)
    saved(tmp_path, 1, LabelLayers.from_masks(mask[None] > 0, mask.shape))
    found = SetStatistics([measure_image(opened(tmp_path).get_data_info(0))], 1)
    assert found.length == pytest.approx(105, abs=3)
    assert found.width == pytest.approx(mask.sum() / found.length, abs=0.5)
    assert found.elongation > 10 and found.diameter == pytest.approx(np.sqrt(mask.sum() * 4 / np.pi))


@pytest.mark.parametrize(
    ("pixels", "kind"),
    [
        (np.full((96, 120, 3), 7, np.uint8), "grey stored as RGB"),
        (np.arange(96 * 120 * 3).reshape(96, 120, 3).astype(np.uint8), "RGB"),
    ],
)
def test_colours(tmp_path, pixels, kind):
    saved(tmp_path, 1, discs([(30, 30)]), pixels)
    found = measure_dataset(opened(tmp_path))
    assert found.describe()[1] == f"values: 1 of uint8, {kind}"


def test_channels_and_floats(tmp_path):
    image = np.random.default_rng(0).random((5, 96, 120), np.float32)
    saved(tmp_path, 1, discs([(30, 30)]), image)
    found = measure_dataset(opened(tmp_path))
    assert found.describe()[1] == "values: 1 of float32, 5 channels"
    assert found.images[0].levels.shape == (5, 3)


def test_bright_cells_on_black_are_one_sided(tmp_path):
    saved(tmp_path, 1, discs([(30, 30)]))
    assert measure_dataset(opened(tmp_path)).one_sided
    grey = np.random.default_rng(0).normal(1000, 50, (96, 120)).astype(np.uint16)
    saved(tmp_path, 1, discs([(30, 30)]), grey)
    assert not measure_dataset(opened(tmp_path)).one_sided


def test_large_sets_and_large_images_are_measured_by_a_sample(tmp_path, monkeypatch):
    for number in range(7):
        saved(tmp_path, number, discs([(30, 30), (60, 60)]))
    found = measure_dataset(opened(tmp_path), most=3)
    assert [image.name for image in found.images] == ["0", "3", "6"]
    assert "measured: 3 of 7 images, spread over the set" in found.describe()
    monkeypatch.setattr(statistics, "LARGE_IMAGE", 1000)
    monkeypatch.setattr(statistics, "WINDOW", 16)
    found = measure_dataset(opened(tmp_path), most=3)
    assert "3 large images: grey values were measured in the middle only" in found.describe()
    assert len(found.areas) == 6


def test_what_cannot_be_read_is_named(tmp_path):
    for number in range(3):
        saved(tmp_path, number, discs([(30, 30)]))
    dataset = opened(tmp_path)
    (tmp_path / "images/1.tif").write_bytes(b"II*\0damaged")
    found = measure_dataset(dataset)
    assert len(found.images) == 2
    assert any(line.startswith("not readable: 1: ") and "1.tif" in line for line in found.describe())
    for number in (0, 2):
        (tmp_path / f"images/{number}.tif").write_bytes(b"II*\0damaged")
    with pytest.raises(CellMMError, match="no image could be read; the first error: .*0.tif"):
        measure_dataset(dataset)


def test_images_without_cells(tmp_path):
    saved(tmp_path, 1, discs([]))
    with pytest.raises(CellMMError, match="none of 1 images has a cell"):
        measure_dataset(opened(tmp_path))
    saved(tmp_path, 2, discs([(30, 30)]))
    found = measure_dataset(opened(tmp_path))
    assert "without cells: 1: 1" in found.describe() and found.diameters.shape == (1,)


def test_an_image_of_one_pixel(tmp_path):
    saved(tmp_path, 1, LabelLayers(np.ones((1, 1), np.int32)), np.zeros((1, 1), np.uint8))
    found = measure_dataset(opened(tmp_path))
    assert found.areas.tolist() == [1] and found.density == 1
