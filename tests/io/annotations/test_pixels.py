"""From outlines to pixels, and what cellmm writes read back to the identical masks."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cellmm.errors import CellMMError
from cellmm.io.annotations import AnnotatedCell, find_reader, to_rle
from cellmm.io.annotations.pixels import united
from cellmm.registry import WRITERS
from cellmm.results.instances import Instances
from cellmm.structures import MaskRuns, fill_rings, outlines_of, rle

MASKS = hnp.arrays(bool, st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 9)))
HALVES = st.integers(-8, 24).map(lambda number: number / 2)
RINGS = st.lists(st.lists(st.tuples(HALVES, HALVES), min_size=3, max_size=7), min_size=1, max_size=3)


def filled(rings: list, shape: tuple[int, int]) -> np.ndarray:
    return rle.decode(fill_rings([np.array(ring, float) for ring in rings], shape).to_rles())[0]


def row_by_row(rings: list, shape: tuple[int, int]) -> np.ndarray:
    """ImageJ's rule, written down from its description: pairs of edges in each row, shifted by a trifle."""
    mask = np.zeros(shape, dtype=bool)
    for row in range(shape[0]):
        crossings = []
        for ring in rings:
            for (x0, y0), (x1, y1) in zip(ring, [*ring[1:], ring[0]], strict=True):
                if y0 > y1:
                    x0, y0, x1, y1 = x1, y1, x0, y0
                if math.ceil(y0 - 0.5) <= row < math.ceil(y1 - 0.5):
                    crossings.append(x0 + (row + 0.5 - y0) * (x1 - x0) / (y1 - y0) + 1e-8)
        columns = [min(max(math.floor(x + 0.5), 0), shape[1]) for x in sorted(crossings)]
        for start, stop in zip(columns[::2], columns[1::2], strict=True):
            mask[row, start:stop] = True
    return mask


@settings(deadline=None, max_examples=100)
@given(RINGS, st.integers(1, 10), st.integers(1, 10))
def test_outlines_are_filled_as_imagej_fills_them(rings, height, width):
    np.testing.assert_array_equal(filled(rings, (height, width)), row_by_row(rings, (height, width)))


@settings(deadline=None, max_examples=60)
@given(MASKS)
def test_the_outlines_of_a_mask_give_the_mask(masks):
    runs = MaskRuns.from_crops(list(masks), [(0, 0)] * len(masks), masks.shape[1:])
    for i, mask in enumerate(masks):
        rings = [ring for part in outlines_of(runs, i) for ring in part]
        np.testing.assert_array_equal(filled(rings, mask.shape), mask)


def test_outlines_that_meet_share_no_pixel_and_leave_none():
    corners = [(0, 0), (9, 3), (12, 12), (3, 9)]
    middle = (5.5, 6.5)
    parts = [
        filled([[a, b, middle]], (12, 12)) for a, b in zip(corners, corners[1:] + corners[:1], strict=True)
    ]
    np.testing.assert_array_equal(np.sum(parts, axis=0), filled([corners], (12, 12)).astype(int))


def test_what_lies_outside_of_the_image_is_cut_off():
    far = AnnotatedCell(rings=[np.array([[-1e6, 1], [1e6, 1], [1e6, 3], [-1e6, 3]])])
    assert rle.area([to_rle(far, (5, 7))]).tolist() == [14]
    pixels = AnnotatedCell(pixels=np.ones((4, 4), bool), corner=(-2, 5))
    assert rle.decode([to_rle(pixels, (5, 7))])[0].sum() == 4
    outside = AnnotatedCell(pixels=np.ones((4, 4), bool), corner=(9, 9))
    nothing = AnnotatedCell(rings=[np.array([[0.6, 0], [0.9, 0], [0.9, 3]])])
    assert rle.area([to_rle(cell, (5, 7)) for cell in (outside, nothing)]).tolist() == [0, 0]


def test_an_outline_that_costs_too_much_is_refused():
    zigzag = np.tile([[0.0, 0.0], [2.0**17, 1.0]], (600, 1))
    with pytest.raises(CellMMError, match="crosses .* columns of pixels: simplify it"):
        fill_rings([zigzag], (4, 2**17))


def test_parts_are_united_and_cut_out(tmp_path):
    square = AnnotatedCell(rings=[np.array([[-2, 1], [4, 1], [4, 5], [-2, 5]])], label="cell", time=3)
    pixels = AnnotatedCell(pixels=np.ones((2, 3), bool), corner=(4, 3))
    hole = AnnotatedCell(rings=[np.array([[1, 2], [9, 2], [9, 4], [1, 4]])])
    cell = united(tmp_path, [square, pixels], [hole])
    expected = np.zeros((7, 8), bool)
    expected[1:5, :4] = expected[4:6, 3:6] = True
    expected[2:4, 1:] = False
    np.testing.assert_array_equal(rle.decode([to_rle(cell, (7, 8))])[0], expected)
    assert (cell.label, cell.time) == ("cell", 3)


@pytest.mark.parametrize(("writer", "name"), [("RoiWriter", "a.zip"), ("GeoJSONWriter", "a.geojson")])
@pytest.mark.parametrize("far", [0, 2**15], ids=["near", "beyond 16 bit"])
def test_what_cellmm_writes_is_read_back_to_the_identical_masks(tmp_path, writer, name, far):
    rng = np.random.default_rng(0)
    shape = (60, 50 + far)
    crops = [rng.random((h, w)) < 0.6 for h, w in rng.integers(1, 20, (30, 2))] + [np.ones((9, 9), bool)]
    crops = [crop for crop in crops if crop.any()]
    corners = [(int(y), int(x) + far) for y, x in rng.integers(0, 30, (len(crops), 2))]
    masks = MaskRuns.from_crops(crops, corners, shape)
    labels = rng.integers(0, 2, len(crops))
    instances = Instances(
        masks=masks,
        scores=np.ones(len(crops)),
        labels=labels,
        classes=("cell", "nucleus: big"),
        category_ids=(1, 2),
        name="a",
    )
    path = tmp_path / name
    WRITERS.build(dict(type=writer)).write(path, instances, None)
    (found,) = find_reader(path).read(path)
    assert [to_rle(cell, shape) for cell in found.cells] == masks.to_rles()
    assert [cell.label for cell in found.cells] == [instances.classes[label] for label in labels]
