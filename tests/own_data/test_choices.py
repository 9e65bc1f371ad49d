"""Numbers of a config that follow from the images."""

import numpy as np
import pytest

from cellmm.errors import CellMMError
from cellmm.own_data.choices import CROPS, STRIDE, choose
from cellmm.own_data.start import StartModel
from cellmm.own_data.statistics import ImageStatistics, SetStatistics

START = StartModel("nuclei", "cellmm::diskmask/nuclei", 20.0, True, dict(mode="percentile"), ())


def image(
    *, diameter=24.0, elongation=1.2, cells=20, side=512, channels=1, color=False, grey=False, **fields
):
    """An image of equal cells."""
    area = np.pi / 4 * diameter**2
    width = float(np.sqrt(area / elongation))
    defaults = dict(
        name="a",
        shape=(side, side),
        dtype="uint16",
        channels=channels,
        color=color,
        grey=grey,
        levels=np.array([[100.0, 500.0, 1000.0]] * channels),
        areas=np.full(cells, round(area)),
        lengths=np.full(min(cells, 25), width * elongation),
        widths=np.full(min(cells, 25), width),
        covered=round(cells * area),
        shared=0,
        cut=2,
        crowd=0,
        windowed=False,
    )
    return ImageStatistics(**defaults | fields)


def of(*images, total=None) -> SetStatistics:
    return SetStatistics(images, total or len(images))


@pytest.mark.parametrize(
    ("width", "factor"), [(24, 1), (31, 1), (40, 0.7), (112, 0.25), (9, 1), (5, 2), (1, 4)]
)
def test_cells_reach_the_network_at_a_size_that_it_sees(width, factor):
    diameter = width / np.sqrt(np.pi / 4)
    found = choose(of(image(diameter=diameter, elongation=1.0)))
    assert found.factor == pytest.approx(factor, rel=0.02)
    assert found.diameter == pytest.approx(diameter * found.factor, rel=0.02)
    assert 3 <= found.radius <= 6 and found.window * STRIDE >= found.diameter


def test_images_with_cells_of_many_sizes_are_scaled_each():
    images = [image(diameter=d) for d in (10, 12, 20, 30, 44, 50)]
    found = choose(of(*images))
    assert found.factor is None and 18 <= found.diameter <= 30
    assert "each has its own scale" in found.reasons["factor"]
    assert found.window == choose(of(image(diameter=found.diameter))).window


def test_worms_keep_their_width_and_are_found_along_their_axes():
    """The numbers of configs/diskmask/bbbc010_cpu.py, which were found by hand."""
    found = choose(
        of(image(diameter=36, elongation=13, cells=15, side=520, shared=200, lengths=np.full(15, 135.0)))
    )
    assert (found.factor, found.along, found.radius, found.window) == (1.0, True, 4, 96)
    assert found.crop >= 2 * 120


@pytest.mark.parametrize(("shared", "along"), [(0, False), (500, True)])
def test_overlap_keeps_many_gates(shared, along):
    found = choose(of(image(shared=shared)))
    assert found.along == along
    assert found.num_gates > choose(of(image())).num_gates or not along


@pytest.mark.parametrize("side", [20, 128, 200, 4000])
def test_crops_suit_cells_and_images(side):
    found = choose(of(image(side=side, cells=3)))
    assert found.crop % 32 == 0 and CROPS[0] <= found.crop <= CROPS[1]
    assert found.crop < side + 32 or found.crop == CROPS[0]
    assert found.dense == (side < 500)
    assert (found.tile is not None) == (side == 4000)
    assert found.overlap <= (found.tile or 0) / 2


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        ([image(channels=1)], (1, "unchanged")),
        ([image(channels=5)], (5, "unchanged")),
        ([image(channels=3, color=True)], (3, "rgb")),
        ([image(channels=3, color=True), image()], (3, "rgb")),
        ([image(channels=4, color=True)], (3, "rgb")),
        ([image(channels=3, color=True, grey=True), image()], (1, "grayscale")),
        ([image(channels=3, color=True, grey=True), image(channels=3, color=True)], (3, "rgb")),
        ([image(channels=3)], (3, "unchanged")),
    ],
)
def test_channels(images, expected):
    found = choose(of(*images))
    assert (found.in_channels, found.color) == expected


@pytest.mark.parametrize(
    ("images", "says"),
    [
        ([image(channels=2), image(channels=3)], "images with 2 channels and with 3 channels: "),
        ([image(channels=3), image(channels=3, color=True)], "3 channels and with 3 channels of colour: "),
        ([image(channels=9)], "at most 8"),
    ],
)
def test_channels_that_do_not_go_together(images, says):
    with pytest.raises(CellMMError, match=says):
        choose(of(*images))


def test_normalisation_by_the_grey_values():
    assert choose(of(image())).normalize == dict(mode="median_std")
    dark = image(levels=np.array([[100.0, 120.0, 4000.0]]))
    assert choose(of(dark)).normalize == dict(mode="percentile")


def test_a_model_to_start_from_sets_scale_and_normalisation():
    found = choose(of(image(diameter=40)), start=START)
    assert (found.factor, found.diameter, found.color) == (0.5, pytest.approx(20, abs=0.1), "rgb")
    assert found.normalize == START.normalize


def test_queries_are_more_than_the_cells_of_a_crop():
    found = choose(of(image(cells=300, side=190)), "sparseseunet")
    assert 300 < found.num_queries <= 500
    few = choose(of(image(cells=300, side=4000)), "sparseseunet")
    assert few.num_queries == 20 and few.tile == few.crop


def test_the_cache_of_cells_has_a_limit():
    assert choose(of(image(), total=100)).cache
    assert not choose(of(image(), total=10_000)).cache
