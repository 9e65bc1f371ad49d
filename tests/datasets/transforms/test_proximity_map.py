"""The five proximity maps, by hand on single rows of pixels and against a plain way, cell by cell."""

import numpy as np
import pytest

from cellmm.errors import CellMMError
from cellmm.registry import TRANSFORMS
from cellmm.structures import SEMANTIC_NAMES, LabelLayers

KINDS = ["v0", "v1", "v2", "v3", "v4"]


def proximity(results, **config):
    done = TRANSFORMS.build(dict(type="ProximityMap", **config))(dict(results))["gt_proximity"]
    assert done.dtype == np.float32 and done.shape == results["gt_layers"].shape
    return done


def row(length, cells, nuclei):
    """One row of pixels; of each cell and nucleus (first, last + 1) or None."""
    masks = np.zeros((2, len(cells), 1, length), bool)
    for stack, spans in zip(masks, (cells, nuclei), strict=True):
        for mask, span in zip(stack, spans, strict=True):
            if span:
                mask[0, slice(*span)] = True
    return dict(zip(("gt_layers", "gt_nuclei"), map(LabelLayers.from_masks, masks), strict=True))


# Cell 1 on 1 to 6 with its nucleus on 2; cell 2 on 5 to 10 without one, its centroid at 7.5.
PAIR = row(12, [(1, 7), (5, 11)], [(2, 3), None])


def test_v0_by_hand():
    # cell 1: |x - 2| / 4; cell 2: |x - 7.5| / 2.5; their maximum on 5 and 6; 0 on the nucleus, 0.1 outside
    expected = [0.1, 0.25, 0, 0.25, 0.5, 1, 1, 0.2, 0.2, 0.6, 1, 0.1]
    np.testing.assert_allclose(proximity(PAIR, kind="v0")[0], expected, atol=1e-6)


def test_v1_by_hand():
    # the nearest of the pixels 2 and 8 (7.5 goes up): 1 0 1 2 3 2 1 0 1 2 on the cells, at most 3
    expected = np.array([0.3, 1, 0, 1, 2, 3, 2, 1, 0, 1, 2, 0.3]) / 3
    np.testing.assert_allclose(proximity(PAIR, kind="v1")[0], expected, atol=1e-6)


def test_v2_by_hand():
    # the overlap is 5 and 6
    expected = [0.1, 0, 0.25, 0.5, 0.75, 1, 1, 0.75, 0.5, 0.25, 0, 0.1]
    np.testing.assert_allclose(proximity(PAIR, kind="v2", reach=4)[0], expected, atol=1e-6)
    far = proximity(PAIR, kind="v2")[0]
    np.testing.assert_allclose(far[1:11], 1 - np.array([4, 3, 2, 1, 0, 0, 1, 2, 3, 4]) / 32)


def test_v3_is_the_larger_of_v1_and_v2():
    v1, v2, v3 = (proximity(PAIR, kind=kind, reach=4) for kind in ("v1", "v2", "v3"))
    assert np.array_equal(v3, np.maximum(v1, v2))
    assert v1[0, 2] == 0 and v3[0, 2] == 0.25


def test_v4_by_hand():
    # outlines: 1, 6 (cell 1), 5, 10 (cell 2); 0.1 on 0 and 11 alone. d: 0 1 2 1 0 0 1 2 1 0, D = 2
    results = row(12, [(1, 7), (5, 11)], [None, None])
    near = 1 - np.log(2) / np.log(3)
    expected = np.array([0.1, 1, near, 0, near, 1, 1, near, 0, near, 1, 0.1])
    np.testing.assert_allclose(proximity(results)[0], expected, atol=1e-6)
    del results["gt_nuclei"]
    expected[[0, 11]] = 0.4
    np.testing.assert_allclose(proximity(results, background=0.4)[0], expected, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_fields_without_much_in_them(kind):
    low = np.float32(0.1)
    empty = dict(gt_layers=LabelLayers.empty(3, 5), gt_nuclei=LabelLayers.empty(3, 5))
    assert (proximity(empty, kind=kind) == low).all()
    lost = dict(gt_layers=LabelLayers(np.zeros((3, 5), int), num=2))
    lost["gt_nuclei"] = lost["gt_layers"]
    assert (proximity(lost, kind=kind) == low).all()
    pixel = row(5, [(2, 3)], [None])
    assert proximity(pixel, kind=kind)[0].tolist() == [low, low, 1 if kind == "v4" else 0, low, low]
    whole = dict(gt_layers=LabelLayers(np.ones((5, 5), int)))
    whole["gt_nuclei"] = LabelLayers(np.zeros((5, 5), int), num=1)
    p = proximity(whole, kind=kind)
    if kind in ("v2", "v4"):  # neither an overlap nor an outline
        assert (p == 0).all()
    else:  # all from its centroid (2, 2), the corners are farthest
        assert p[2, 2] == 0 and p[0, 0] == p[4, 4] == 1 and p[2, 4] == np.float32(np.sqrt(0.5))


@pytest.mark.parametrize("kind", KINDS)
def test_crowd_regions_count_as_no_cells(kind):
    crowd = dict(PAIR, gt_ignore=np.array([False, True]))
    single = row(12, [(1, 7)], [(2, 3)])
    assert np.array_equal(proximity(crowd, kind=kind), proximity(single, kind=kind))


@pytest.mark.parametrize("kind", ["v0", "v1", "v3"])
def test_without_load_nuclei(kind):
    with pytest.raises(CellMMError, match=f"{kind}.*put LoadNuclei after LoadCells"):
        proximity(dict(gt_layers=LabelLayers.empty(3, 5)), kind=kind)


@pytest.mark.parametrize(
    "config, words",
    [
        (dict(kind="v5"), "kind is 'v5'"),
        (dict(background=1.5), "background is 1.5"),
        (dict(reach=0), "reach is 0"),
    ],
)
def test_a_wrong_argument_is_refused(config, words):
    with pytest.raises(CellMMError, match=words):
        proximity(PAIR, **config)


@pytest.fixture(scope="module")
def benchmark(load_tool):
    return load_tool("benchmarks/overlap_targets")


@pytest.mark.parametrize("num", [1, 2, 20, 60])
def test_the_same_as_cell_by_cell(benchmark, num):
    cells, nuclei = benchmark.scene(num, size=97, seed=num)
    results = dict(gt_layers=LabelLayers.from_masks(cells), gt_nuclei=LabelLayers.from_masks(nuclei))
    for kind in KINDS:
        p = proximity(results, kind=kind)
        np.testing.assert_allclose(p, benchmark.plain_map(kind, cells, nuclei), atol=1e-5)
        assert 0 <= p.min() and p.max() <= 1 and (p[~cells.any(0)] == np.float32(0.1)).all()
    maps = TRANSFORMS.build(dict(type="SemanticTargets", targets=SEMANTIC_NAMES))(results)["gt_semantic"]
    plain = benchmark.plain_maps(cells, nuclei)
    assert all(np.array_equal(maps[name], plain[name]) for name in SEMANTIC_NAMES)
