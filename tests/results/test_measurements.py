"""Measurements of cells against values known beforehand, scikit-image, and pairs by hand."""

from pathlib import Path

import numpy as np
import pytest
from skimage.draw import ellipse
from skimage.measure import regionprops_table

from cellmm.results import Instances
from cellmm.results.measurement_columns import BOX, COLUMNS, INTENSITY, SHAPE, in_order
from cellmm.results.measurements import measure
from cellmm.structures import MaskRuns
from cellmm.testing.writers import ArraySource


def cells_of(crops, corners, shape, pixel_size=None):
    num = len(crops)
    masks = MaskRuns.from_crops(crops, corners, shape)
    return Instances(masks, np.full(num, 0.5, np.float32), np.zeros(num, np.int64), pixel_size=pixel_size)


def oval(long=25, short=7, angle=0.5):
    mask = np.zeros((61, 61), bool)
    mask[ellipse(30, 30, short, long, rotation=angle)] = True
    return mask


def test_columns_are_those_of_scikit_image():
    image = np.random.default_rng(0).integers(0, 60000, (80, 90, 2), dtype=np.uint16)
    found = measure(cells_of([oval()], [(10, 20)], (80, 90)), image)
    labels = np.zeros((80, 90), int)
    labels[10:71, 20:81] = oval()
    columns = [COLUMNS[0], *BOX, *SHAPE, *INTENSITY]
    names = dict.fromkeys(column.name.split("-")[0] for column in columns)
    theirs = regionprops_table(labels, image, properties=list(names))
    for name, values in theirs.items():
        assert found[name] == pytest.approx(values, rel=1e-9), name
    assert [name for name in found if name not in theirs] == [
        *("class", "score", "length", "width_mean", "width_max", "curvature"),
        *("overlap_labels", "overlap_areas", "area_overlap", "overlap_fraction"),
    ]


def test_overlaps_by_hand():
    """Cell 1 shares 2 x 2 pixels with 2 and 2 x 4 with 3, which share 2 x 4 with each other."""
    crops = [np.ones((4, 4), bool), np.ones((4, 4), bool), np.ones((2, 8), bool), np.ones((1, 1), bool)]
    found = measure(cells_of(crops, [(0, 0), (2, 2), (2, 0), (8, 8)], (9, 9), (0.5, 0.5)))
    assert found["overlap_labels"].tolist() == ["2 3", "1 3", "1 2", ""]
    assert found["overlap_areas"].tolist() == ["4 8", "4 8", "8 8", ""]
    assert found["area_overlap"].tolist() == [8, 8, 12, 0]
    assert found["overlap_fraction"].tolist() == [0.5, 0.5, 0.75, 0]
    assert found["area_overlap_um2"].tolist() == [2, 2, 3, 0]
    assert found["area"].tolist() == [16, 16, 16, 1]


def test_overlapping_cells_are_measured_whole():
    alone = measure(cells_of([oval()], [(0, 0)], (61, 61)))
    both = measure(cells_of([oval(), oval(20, 9, 2)], [(0, 0), (0, 0)], (61, 61)))
    for name in alone:
        if not name.startswith(("overlap", "area_overlap")):
            assert both[name][0] == alone[name][0], name


def test_a_cell_of_one_pixel():
    found = measure(cells_of([np.ones((1, 1), bool)], [(3, 4)], (9, 9)), np.full((9, 9), 7.0))
    one = {name: values.tolist()[0] for name, values in found.items()}
    assert {name: one[name] for name in ("area", "length", "width_mean", "width_max", "solidity")} == {
        **dict(area=1, length=1, width_mean=1, width_max=1, solidity=1)
    }
    for name in ("eccentricity", "axis_major_length", "axis_minor_length", "perimeter", "curvature"):
        assert one[name] == 0, name
    assert (one["centroid-0"], one["centroid-1"], one["feret_diameter_max"]) == (3, 4, 1)
    assert (one["intensity_mean-0"], one["intensity_std-0"]) == (7, 0)
    assert not any(isinstance(value, float) and np.isnan(value) for value in one.values())


def test_cells_without_pixels_and_no_cells():
    found = measure(cells_of([np.zeros((2, 2), bool), np.ones((2, 2), bool)], [(0, 0), (1, 1)], (9, 9)))
    assert found["area"].tolist() == [0, 4]
    assert np.isnan(found["length"][0])
    assert found["length"][1] == 2
    empty = measure(cells_of([], [], (9, 9), (1, 1)), np.zeros((9, 9)))
    assert all(len(values) == 0 for values in empty.values())
    assert {"length_um", "intensity_mean-0", "class"} <= set(empty)


def test_micrometres_of_square_pixels():
    found = measure(cells_of([oval()], [(0, 0)], (61, 61), (0.5, 0.5)))
    assert found["area_um2"] == pytest.approx(found["area"] / 4)
    assert found["area_convex_um2"] == pytest.approx(found["area_convex"] / 4)
    assert found["curvature_per_um"] == pytest.approx(found["curvature"] * 2)
    for name in ("length", "width_mean", "width_max", "perimeter", "centroid-0", "axis_major_length"):
        assert found[f"{name}_um"] == pytest.approx(found[name] / 2), name


@pytest.mark.parametrize("angle", [0.0, 0.5, 1.1, np.pi / 2])
def test_pixels_that_are_not_square(angle):
    """The same cell, 40 x 8 um, in square pixels and in pixels of twice the height."""
    found = []
    for height in (0.25, 0.5):
        y, x = np.mgrid[-25:25:height, -25:25:0.25]
        along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        mask = np.hypot(np.maximum(np.abs(along) - 16, 0), across) <= 4
        found.append(measure(cells_of([mask], [(0, 0)], mask.shape, (height, 0.25))))
    square, other = found
    assert square["length_um"] == pytest.approx(40, abs=0.5)
    for name in (
        "length",
        "width_mean",
        "axis_major_length",
        "axis_minor_length",
        "feret_diameter_max",
        "centroid-0",
    ):
        assert other[f"{name}_um"] == pytest.approx(square[f"{name}_um"], rel=0.02, abs=0.3), name
    for name in ("area_um2", "area_convex_um2"):
        assert other[name] == pytest.approx(square[name], rel=0.03), name
    assert other["perimeter_um"] == pytest.approx(square["perimeter_um"], rel=0.08)
    assert other["eccentricity"] == pytest.approx(square["eccentricity"], abs=0.005)
    assert np.cos(2 * (other["orientation"] - square["orientation"])) == pytest.approx(1, abs=0.002)
    assert other["curvature_per_um"] == pytest.approx(0, abs=0.03)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_intensities_read_the_cells_surroundings_alone(dtype, monkeypatch):
    monkeypatch.setattr("cellmm.results.measurements.BLOCK", 128)
    image = (np.random.default_rng(0).random((600, 700, 3)) * 200).astype(dtype)
    corners = [(0, 0), (20, 30), (500, 600), (300, 90)]
    cells = cells_of([oval()] * 4, corners, (600, 700))
    reads = []

    class Counted(ArraySource):
        def read(self, *box):
            reads.append((box[2] - box[0]) * (box[3] - box[1]))
            return super().read(*box)

    found = measure(cells, Counted(image))
    for i, (y, x) in enumerate(corners):
        pixels = image[y : y + 61, x : x + 61][oval()].astype(np.float64)
        for channel in range(3):
            for name in ("mean", "max", "min", "std"):
                value = getattr(pixels[:, channel], name)()
                assert found[f"intensity_{name}-{channel}"][i] == pytest.approx(value, rel=1e-6)
    assert sum(reads) < 4 * 100 * 100


def test_groups_of_any_size_give_the_same(monkeypatch):
    rng = np.random.default_rng(1)
    crops = [oval(rng.uniform(10, 28), rng.uniform(2, 9), rng.uniform(0, 3)) for _ in range(12)]
    cells = cells_of(crops, rng.integers(0, 400, (12, 2)), (470, 470), (0.4, 0.2))
    at_once = measure(cells)
    monkeypatch.setattr("cellmm.results.measurements.SHEET", 9000)
    monkeypatch.setattr("cellmm.results.measurements.BLOCK", 64)
    for name, values in measure(cells).items():
        if values.dtype.kind == "f":
            assert values == pytest.approx(at_once[name], rel=1e-6, abs=1e-9), name
        else:
            assert (values == at_once[name]).all(), name


def test_an_image_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"image of \(9, 9\) pixels, not of \(9, 8\)"):
        measure(cells_of([], [], (9, 9)), np.zeros((9, 8)))


def test_the_page_lists_the_columns():
    page = (Path(__file__).parents[2] / "docs/how_to/measurements.md").read_text(encoding="utf-8")
    for column in (*COLUMNS, *INTENSITY):
        name = f"{column.name}-0, -1 ..." if column in INTENSITY else column.name
        micrometres = f"`{column.in_micrometres}`" if column.in_micrometres else ""
        assert f"| `{name}` | {column.unit} | {micrometres} | {column.meaning} |" in page, column.name


def test_names_in_order():
    names = ["intensity_mean-10", "intensity_mean-2", "area", "label", "area_um2"]
    assert in_order(names)[:3] == ["label", "area", "area_um2"]
    assert in_order(names).index("intensity_mean-2") < in_order(names).index("intensity_mean-10")
