"""Instances of tiles are joined: by hand, and against what an observer sees who knows every cell."""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from skimage.draw import line

from cellmm.models import predict_in_tiles
from cellmm.models.postprocess.join_tiles import TileCells, areas_in, join_tiles
from cellmm.models.postprocess.look_again import WindowRule, look_again, unite
from cellmm.models.postprocess.tiles import Tile, TileGrid
from cellmm.structures import MaskRuns, PredictedInstances, rle

SHAPE = (64, 96)


def box_mask(top, left, bottom, right, shape=SHAPE):
    mask = np.zeros(shape, bool)
    mask[top:bottom, left:right] = True
    return mask


def worm(*points, width=3, shape=SHAPE):
    mask = np.zeros(shape, bool)
    for (y0, x0), (y1, x1) in zip(points[:-1], points[1:], strict=True):
        mask[line(y0, x0, y1, x1)] = True
    grown = mask.copy()
    for dy in range(-(width // 2), width // 2 + 1):
        for dx in range(-(width // 2), width // 2 + 1):
            grown |= np.roll(mask, (dy, dx), (0, 1))
    return grown


def runs(masks, shape=SHAPE):
    return MaskRuns.from_rles(rle.encode(np.array(masks, bool).reshape(-1, *shape)), shape)


def seen_by(tile, masks, scores=None, shape=SHAPE):
    """What a tile shows of ``masks``, in their order, those without a pixel left out."""
    scores = np.ones(len(masks)) if scores is None else np.asarray(scores, float)
    window = box_mask(*tile.box, shape)
    there = [i for i, mask in enumerate(masks) if (mask & window).any()]
    parts = runs([masks[i] & window for i in there], shape)
    return TileCells.of(tile, parts, scores[there], np.zeros(len(there), int))


def join(grid, cells):
    per_row = len(grid.cols)
    joined = join_tiles(grid, lambda row: cells[row * per_row : (row + 1) * per_row])
    kept = [part.select(stay) for part, stay in zip(cells, joined.stays, strict=True)]
    return joined, TileCells.concatenate(kept)


def whole(grid, masks, scores=None):
    """All instances in the end, sorted, found by an observer who knows ``masks``."""
    cells = [seen_by(tile, masks, scores, grid.shape) for tile in grid.tiles()]
    joined, kept = join(grid, cells)
    return finish(grid, masks, joined, kept, cells)


def finish(grid, masks, joined, kept, cells):
    group = joined.orphans[:, 2]
    pieces = [kept.select([]), *(cells[tile].select([i]) for tile, i, _ in joined.orphans)]

    def look(box):
        return seen_by(Tile(*box), masks, shape=grid.shape)

    again = look_again(kept, TileCells.concatenate(pieces), group, look, WindowRule.of(grid))
    every = MaskRuns.concatenate([kept.masks, again.cells.masks, again.united.masks])
    return sorted(mask["counts"] for mask in every.to_rles())


def truth(masks):
    return sorted(mask["counts"] for mask in rle.encode(np.array(masks)))


CASES = {
    "a corner of four tiles": [box_mask(22, 38, 30, 46)],
    "touches the seam from both sides": [box_mask(10, 20, 18, 24), box_mask(10, 24, 18, 30)],
    "crossing on a seam": [worm((10, 30), (24, 46)), worm((24, 30), (10, 46))],
    "crossing, longer than the overlap": [worm((4, 20), (40, 60)), worm((40, 20), (4, 60))],
    "longer than the overlap": [worm((20, 10), (20, 60))],
    "longer than a tile": [worm((5, 5), (30, 50), (58, 90)), box_mask(30, 44, 36, 49)],
    "side by side": [worm((20, 10), (20, 60)), worm((23, 10), (23, 60)), worm((26, 12), (26, 70))],
    "one over the other": [box_mask(18, 30, 30, 60), box_mask(20, 30, 30, 60)],
    "small ones": [box_mask(y, x, y + 2, x + 2) for y in range(2, 60, 5) for x in range(2, 90, 5)],
    "none": [],
}


@pytest.mark.parametrize(
    ("case", "overlap"),
    # without overlap nothing tells which pieces belong to a cell that is too long for a window
    [(case, overlap) for case in CASES for overlap in (16, 8, 0) if overlap or case != "longer than a tile"],
)
def test_every_cell_comes_once_and_whole(case, overlap):
    masks = CASES[case]
    grid = TileGrid.cut(SHAPE, 32, overlap)
    assert whole(grid, masks) == (truth(masks) if masks else [])


@pytest.mark.parametrize(("scores", "stays"), [((0.9, 0.8), 0), ((0.8, 0.9), 1), ((0.8, 0.8), 0)])
@pytest.mark.parametrize("shift", [-1, 0, 1])
def test_the_deepest_copy_stays_then_the_better_then_the_first(scores, stays, shift):
    shape = (16, 36)
    grid = TileGrid.cut(shape, 24, 12)
    cell = box_mask(4, 16 + shift, 8, 20 + shift, shape)
    cells = [seen_by(tile, [cell], [s], shape) for tile, s in zip(grid.tiles(), scores, strict=True)]
    assert [float(part.depth[0]) for part in cells] == [4 - shift, 4 + shift]
    expected = {-1: 0, 0: stays, 1: 1}[shift]
    joined, _ = join(grid, cells)
    assert [stay.tolist() for stay in joined.stays] == [[expected == 0], [expected == 1]]


def test_a_copy_that_disagrees_with_a_cut_piece_is_looked_at_again():
    """One tile says that the cell ends in the strip, the other that it goes on: the window decides."""
    shape = (16, 40)
    grid = TileGrid.cut(shape, 24, 8)
    first, second = grid.tiles()
    long, short = box_mask(4, 2, 8, 24, shape), box_mask(4, 19, 8, 30, shape)
    cells = [seen_by(first, [long], shape=shape), seen_by(second, [short], shape=shape)]
    joined, kept = join(grid, cells)
    assert len(kept) == 0 and joined.orphans[:, :2].tolist() == [[0, 0], [1, 0]]
    assert len(set(joined.orphans[:, 2])) == 1
    real = box_mask(4, 2, 8, 30, shape)
    assert finish(grid, [real], joined, kept, cells) == truth([real])


def test_a_cut_piece_under_a_whole_cell_goes_and_one_beside_it_is_looked_at_again():
    shape = (16, 40)
    grid = TileGrid.cut(shape, 24, 8)
    first, second = grid.tiles()
    cell, sliver = box_mask(4, 12, 10, 20, shape), box_mask(4, 16, 6, 19, shape)
    alone = box_mask(12, 16, 14, 22, shape)
    cells = [seen_by(first, [cell], shape=shape), seen_by(second, [sliver, alone], shape=shape)]
    joined, kept = join(grid, cells)
    assert len(kept) == 1 and joined.orphans[:, :2].tolist() == [[1, 1]]


def test_what_a_tile_sees_deeper_and_does_not_find_goes():
    shape = (16, 70)
    grid = TileGrid.cut(shape, 30, 10)
    ghost = box_mask(4, 24, 7, 26, shape)  # whole in the first tile, its middle in the core of the second
    cells = [TileCells.empty(shape) for _ in grid.tiles()]
    cells[0] = TileCells.of(grid.tile(0), runs([ghost], shape), np.ones(1), np.zeros(1, int))
    grid_seen, kept = join(grid, cells)
    assert len(kept) == 1  # too near to the border of the second tile to be missed by it for sure
    ghost = box_mask(4, 26, 6, 27, shape)
    cells[0] = TileCells.of(grid.tile(0), runs([ghost], shape), np.ones(1), np.zeros(1, int))
    assert len(join(grid, cells)[1]) == 0


def test_a_group_has_one_instance_per_tile():
    """Three tiles on one strip, chained by matches: those of one tile stay two."""
    shape = (40, 40)
    grid = TileGrid.cut(shape, 24, 8)
    a, b = box_mask(17, 17, 23, 21, shape), box_mask(17, 20, 23, 24, shape)
    middle = box_mask(17, 18, 23, 23, shape)
    parts = [[a, b], [middle], [middle], [a, b]]
    cells = [seen_by(t, m, shape=shape) for t, m in zip(grid.tiles(), parts, strict=True)]
    joined, kept = join(grid, cells)
    assert len(kept) + len(joined.orphans) >= 2


def test_pixels_in_boxes_and_unions_by_hand():
    masks = runs([box_mask(2, 2, 8, 6), box_mask(4, 4, 10, 8), box_mask(20, 20, 21, 21)])
    boxes = np.array([[0, 0, 4, 64], [4, 4, 6, 5], [0, 0, 64, 96]])
    assert areas_in(masks, np.array([0, 0, 2]), boxes).tolist() == [8, 2, 1]
    union = unite(masks, np.array([0, 0, 1]))
    expected = [box_mask(2, 2, 8, 6) | box_mask(4, 4, 10, 8), box_mask(20, 20, 21, 21)]
    assert union.to_rles() == rle.encode(np.array(expected))
    assert len(unite(masks.select([]), np.zeros(0, int))) == 0


POINT = st.tuples(st.integers(3, SHAPE[0] - 4), st.integers(3, SHAPE[1] - 4))
WORM = st.lists(POINT, min_size=2, max_size=3).map(lambda points: worm(*points))
ROUND = st.tuples(POINT, st.integers(1, 6)).map(
    lambda item: np.hypot(*(np.indices(SHAPE) - np.array(item[0])[:, None, None])) <= item[1]
)


@settings(deadline=None, max_examples=60)
@example(cells=[worm((3, 3), (35, 82)), worm((3, 59), (26, 3))], tile=32, share=0.5, seed=0)
@given(
    cells=st.lists(st.one_of(WORM, ROUND), min_size=1, max_size=8),
    tile=st.sampled_from([24, 32, 40]),
    share=st.sampled_from([0.5, 0.3, 0.1]),
    seed=st.integers(0, 99),
)
def test_random_cells_come_once_whatever_the_order_within_the_tiles(cells, tile, share, seed):
    grid = TileGrid.cut(SHAPE, tile, int(tile * share))
    distinct = []  # two cells with much of their pixels in common cannot be told apart in a strip
    for mask in cells:
        if all((mask & other).sum() <= 0.3 * min(mask.sum(), other.sum()) for other in distinct):
            distinct.append(mask)
    scores = np.random.default_rng(seed).choice([0.5, 0.75, 1.0], len(distinct))
    order = np.random.default_rng(seed).permutation(len(distinct))
    found = whole(grid, distinct, scores)
    assert found == whole(grid, [distinct[i] for i in order], scores[order])
    assert found == truth(distinct)


def test_the_same_through_a_function_that_predicts_parts():
    """Positions are the image, so that the function knows where its part lies; every second px is a map."""
    masks = CASES["crossing, longer than the overlap"] + CASES["small ones"][:30]
    rows, cols = np.indices(SHAPE)

    def observe(part):
        top, left = part[:, 0, 0]
        window = np.s_[top : top + part.shape[1], left : left + part.shape[2]]
        own = [mask[window] for mask in masks if mask[window].any()]
        probs = torch.from_numpy(np.array(own, np.float32).reshape(-1, *part.shape[1:]))
        scores = torch.full((len(own),), 0.9)
        return {}, PredictedInstances(probs, scores=scores, labels=torch.zeros(len(own), dtype=torch.long))

    result = predict_in_tiles(observe, np.stack([rows, cols]), tile=32, overlap=8)
    assert sorted(mask["counts"] for mask in result.instances.masks) == truth(masks)
    assert result.num_again > 0 and result.num_united == 0
