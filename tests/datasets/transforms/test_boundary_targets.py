"""Targets of boundary networks and weights of their pixels, by hand."""

import numpy as np
import pytest

from cellmm.errors import CellMMError
from cellmm.registry import TRANSFORMS
from cellmm.structures import LabelLayers


def row(crowd=()):
    """Background 0 to 3, a cell 4 to 8, a cell 9 to 14, background 15 to 19."""
    cells = np.zeros((3, 20), int)
    cells[:, 4:9], cells[:, 9:15] = 1, 2
    return dict(
        img=np.zeros((3, 20, 1), np.float32),
        gt_layers=LabelLayers(cells),
        gt_labels=np.zeros(2, np.int64),
        gt_ignore=np.isin(np.arange(2), crowd),
    )


def run(results, **step):
    return TRANSFORMS.build(step)(results)


def columns(found):
    return {name: np.flatnonzero(drawn[0]).tolist() for name, drawn in found["gt_semantic"].items()}


def test_three_exclusive_classes():
    found = columns(run(row(), type="BoundaryTargets", width=2))
    assert found == dict(
        interior=[5, 6, 7, 10, 11, 12, 13],
        boundary=[3, 4, 8, 9, 14, 15],
        exterior=[0, 1, 2, 16, 17, 18, 19],
    )


def test_cuts_part_cells_and_not_cells_from_the_background():
    found = columns(run(row(), type="BoundaryTargets", kind="cuts", width=4))
    assert found["boundary"] == [7, 8, 9, 10]
    assert found["interior"] == [4, 5, 6, 11, 12, 13, 14]
    assert found["exterior"] == [*range(4), *range(15, 20)]


def test_a_bell_has_no_classes_and_other_maps_stay():
    results = run(row(), type="SemanticTargets", targets=("cytoplasm",))
    found = run(results, type="BoundaryTargets", kind="bell", width=4, sigma=1.0)["gt_semantic"]
    assert set(found) == {"cytoplasm", "boundary"} and found["boundary"].dtype == np.float32
    assert found["boundary"][0, :6].tolist() == pytest.approx([0, 0, np.exp(-1), 1, 1, np.exp(-1)])


def test_crowd_regions_are_ignored_and_have_no_boundary():
    found = run(row(crowd=[1]), type="BoundaryTargets")
    assert columns(found)["boundary"] == [3, 4, 8, 9]
    assert np.flatnonzero(found["ignore"][0]).tolist() == list(range(9, 15))


def test_weights_balance_classes_and_are_high_between_cells():
    found = run(row(), type="PixelWeights", w0=3.0, sigma=1.0)["gt_weight"]
    cell, none = 20 / (2 * 11), 20 / (2 * 9)
    assert found.dtype == np.float32
    # pixels 0 to 8 from the other cell: d1 + d2
    assert found[0, 8] == pytest.approx(cell + 3 * np.exp(-0.5))
    assert found[0, 7] == pytest.approx(cell + 3 * np.exp(-2.0))
    assert found[0, 0] == pytest.approx(none) and found[0, 6] == pytest.approx(cell + 3 * np.exp(-4.5))
    plain = run(row(), type="PixelWeights", w0=0.0, balance=False)["gt_weight"]
    assert (plain == 1).all()


def test_outlines_against_the_background_weigh_more():
    found = run(row(), type="PixelWeights", w0=0.0, balance=False, outline=3.0, outline_reach=2)["gt_weight"]
    # not where the two cells meet, between pixels 8 and 9
    assert np.flatnonzero(found[0] == 4).tolist() == [2, 3, 4, 5, 13, 14, 15, 16]
    assert (found[0] == 1).sum() == 12


def test_a_class_of_few_pixels_weighs_no_more_than_it_may():
    few = row()
    few["gt_layers"] = LabelLayers(np.eye(1, 60, dtype=int).repeat(3, 0))
    few["gt_labels"], few["gt_ignore"] = np.zeros(1, np.int64), np.zeros(1, bool)
    found = run(few, type="PixelWeights", most=4.0)["gt_weight"]
    assert found[0, 0] == 4 and found[0, 5] == pytest.approx(60 / 118)


@pytest.mark.parametrize(
    ("step", "says"),
    [
        (dict(type="BoundaryTargets", kind="outline"), "kind is 'outline', one of"),
        (dict(type="BoundaryTargets", width=3), "width of a boundary is 3"),
        (dict(type="BoundaryTargets", kind="bell", sigma=0), "sigma of the boundary is 0"),
        (dict(type="PixelWeights", sigma=-1), "sigma above 0"),
        (dict(type="PixelWeights", most=0.5), "most is 0.5"),
        (dict(type="PixelWeights", outline=-1.0), "outline -1.0"),
        (dict(type="PixelWeights", outline_reach=1.5), "outline_reach 1.5"),
    ],
)
def test_wrong_arguments_fail_when_built(step, says):
    with pytest.raises(CellMMError, match=says):
        TRANSFORMS.build(step)
