"""Cells from boundaries: by components, cleaned and grown, by hand."""

import numpy as np
import pytest
import torch

from cellmm.models.postprocess.label_regions import fill_holes, grow, instances_of, part_bridges, remove_small
from cellmm.registry import TASK_UTILS
from cellmm.structures import LabelLayers, cell_boundaries, cell_cuts, rle


def build(kind="ClassComponents", **options):
    return TASK_UTILS.build(dict(type=kind, **options))


def touching():
    """Two cells of 8 x 6 and 8 x 7 px that touch, in 12 x 20."""
    cells = np.zeros((12, 20), int)
    cells[2:10, 3:9], cells[2:10, 9:16] = 1, 2
    return LabelLayers(cells)


def maps(cells, boundary):
    covered = cells.covered()
    drawn = dict(
        interior=covered & ~boundary, boundary=boundary, exterior=~covered & ~boundary, cytoplasm=covered
    )
    return {name: 0.8 * values.astype(np.float32) + np.float32(0.1) for name, values in drawn.items()}


def masks(found):
    """bool (N, h, w), by the first column of each."""
    drawn = rle.decode(found.mask_runs().to_rles()).astype(bool)
    return drawn[np.argsort([mask.any(0).argmax() for mask in drawn])]


@pytest.mark.parametrize("width", [2, 4])
def test_classes_become_the_cells_that_they_were_made_of(width):
    """4 px: what is left of the cells' corners grows back round."""
    cells = touching()
    given = maps(cells, cell_boundaries(cells, width=width))
    found = build(grow=width // 2)(given)
    drawn, truth = masks(found), cells.to_masks()
    assert not drawn.all(0).any() and not (drawn & ~truth).any()
    assert (truth & ~drawn).sum() == dict([(2, 8), (4, 8 * 3)])[width]
    assert found.scores.tolist() == pytest.approx([0.9, 0.9]) and found.labels.tolist() == [0, 0]


def test_cells_grow_up_to_their_neighbour_and_not_into_it():
    """Two seeds with a gap of 3 px: each gets the pixels that are nearer to it, the middle one goes once."""
    row = np.zeros((1, 11), int)
    row[0, :3], row[0, 6:9] = 1, 2
    assert grow(row, 5)[0, :3].tolist() == [1, 1, 1] and grow(row, 5)[0, 5:].tolist() == [2] * 6
    assert grow(row, 1)[0].tolist() == [1, 1, 1, 1, 0, 2, 2, 2, 2, 2, 0]
    within = np.arange(11)[None] < 9
    assert grow(row, 1, within)[0].tolist() == [1, 1, 1, 1, 0, 2, 2, 2, 2, 0, 0]
    assert not grow(np.zeros((3, 4), int), 2).any()


def test_the_background_in_pieces_is_told_by_the_foreground():
    """A bar parts the background in two: the published rule takes the smaller piece for a cell."""
    layer = np.zeros((20, 20), int)
    layer[6:12] = 1
    cells = LabelLayers(layer)
    given = maps(cells, cell_boundaries(cells, width=2))
    found = build("BoundaryComponents")(given)
    assert masks(found).tolist() == cells.to_masks().tolist()
    published = build("BoundaryComponents", background="largest")
    assert published.needs_maps == ("boundary",) and len(published(given)) == 2


def test_cuts_part_what_touches():
    cells = touching()
    given = maps(cells, cell_cuts(cells, width=2))
    assert masks(build("BoundaryComponents")(given)).tolist() == cells.to_masks().tolist()
    given["boundary"][:] = 0
    assert len(build("BoundaryComponents")(given)) == 1


def test_holes_small_cells_and_bridges():
    layer = np.zeros((12, 30), int)
    layer[1:10, 1:10] = layer[1:10, 14:23] = layer[5, 10:14] = 1  # two squares and a bridge of 1 x 4 px
    layer[4, 4] = 0  # a hole
    layer[2:4, 26:28] = 1  # and 4 px
    given = maps(LabelLayers(layer), np.zeros(layer.shape, bool))
    whole = build(grow=0, fill_holes=False)(given)
    assert sorted(mask.sum() for mask in masks(whole)) == [4, 81 + 80 + 4]
    found = build(grow=0, bridge=2, min_area=5)(given)
    assert [mask.sum() for mask in masks(found)] == [83, 83]  # 2 px of the bridge each, without the hole


def test_a_hole_with_another_cell_in_it_keeps_that_cell():
    ring = np.ones((7, 7), int)
    ring[1:6, 1:6] = 0
    ring[3, 3] = 2
    filled = fill_holes(ring)
    assert filled[3, 3] == 2 and (filled == 1).sum() == 48


def test_what_no_disk_fits_into_stays_whole_and_numbers_are_unique():
    regions = np.zeros((9, 24), int)
    regions[4, :5] = 3  # thin
    regions[2:7, 8:13] = regions[2:7, 16:21] = regions[4, 13:16] = 7
    parted = part_bridges(regions, 1)
    assert len(np.unique(parted[regions == 3])) == 1 and len(np.unique(parted)) == 4
    assert np.array_equal(parted > 0, regions > 0)
    assert part_bridges(np.ones((6, 6), int), 2).tolist() == np.ones((6, 6), int).tolist()
    assert remove_small(regions, 6).max() == 7 and not (remove_small(regions, 6) == 3).any()


def test_instances_come_best_first_and_share_no_pixel_when_resampled():
    regions = np.array([[1, 1, 0, 3, 3, 3]])
    found = instances_of(regions, np.array([0, 0.4, 0, 0.6]))
    assert found.scores.tolist() == pytest.approx([0.6, 0.4]) and found.origins.tolist() == [[0, 2], [0, 0]]
    assert [window.tolist() for window in found.probs] == [[[0, 1, 1, 1]], [[1, 1, 0]]]
    assert len(instances_of(np.zeros((3, 4), int), np.zeros(1))) == 0
    assert found.labels.dtype == torch.int64


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (dict(boundary_thr=1.0), "boundary_thr must be between 0 and 1"),
        (dict(background="otsu"), "background must be one of"),
        (dict(grow=-1), "grow must be 0 or more"),
        (dict(min_area=2.5), "min_area must be 0 or more, a whole number"),
    ],
)
def test_wrong_arguments(options, says):
    with pytest.raises(ValueError, match=says):
        build("BoundaryComponents", **options)
