"""The mathematics of copy-paste: cells cut out, warped with their masks, and pasted without losing any."""

import numpy as np
import pytest
from skimage.draw import disk

from cellmm.datasets.transforms.cutouts import (
    CellWarp,
    background_level,
    cells_to_copy,
    cut_out,
    draw_group,
    draw_warp,
)
from cellmm.datasets.transforms.pasting import paste_cells
from cellmm.structures import LabelLayers

ANY = dict(scale=(0.7, 1.4), elastic_magnitude=1.5, elastic_spacing=8.0)


def field(size=(48, 64), centres=((12, 14), (30, 40)), radius=7, channels=2, seed=0):
    """An image of noise, the cells, which are disks, and their nuclei, smaller disks."""
    masks = np.zeros((2, len(centres), *size), bool)
    for i, centre in enumerate(centres):
        masks[0, i][disk(centre, radius, shape=size)] = True
        masks[1, i][disk(centre, radius / 2, shape=size)] = True
    image = np.random.default_rng(seed).random((*size, channels)).astype(np.float32)
    cells, nuclei = (LabelLayers.from_masks(some, size) for some in masks)
    return image, cells, nuclei


def cutouts_of(source, rng, number, blur=0.0, background=0.0, **ranges):
    image, cells, nuclei = source
    boxes, ids = cells.bboxes(), rng.choice(cells_to_copy(cells), number)
    return [
        cut_out(
            image,
            cells,
            i,
            draw_warp(rng, **ranges),
            box=boxes[i],
            nuclei=nuclei,
            blur=blur,
            background=background,
        )
        for i in ids
    ]


def test_whole_cells_are_copied_that_hardly_overlap():
    size = (40, 60)
    masks = np.zeros((6, *size), bool)
    masks[0, 5:10, 5:10] = True  # alone
    masks[1, 20:30, 5:15] = masks[2, 28:38, 5:15] = True  # these two share 20 of 100 pixels
    masks[3, 0:6, 30:36] = True  # cut by the border
    masks[5, 20:30, 40:50] = True  # alone, beside pixels outside; cell 4 has no pixel
    cells = LabelLayers.from_masks(masks)
    assert cells_to_copy(cells).tolist() == [0, 1, 2, 5]
    assert cells_to_copy(cells, shared=0.19).tolist() == [0, 5]
    outside = np.zeros(size, bool)
    outside[:, 50:] = True
    assert cells_to_copy(cells, outside=outside).tolist() == [0, 1, 2]
    assert cells_to_copy(LabelLayers.empty(8, 8)).size == 0
    groups = [draw_group(cells, np.arange(6), 9, np.random.default_rng(seed)).tolist() for seed in range(20)]
    assert all(len(group) == 5 and len({1, 2} & set(group)) == 1 for group in groups)
    assert {1 in group for group in groups} == {True, False}
    assert len(draw_group(cells, np.array([0, 5]), 1, np.random.default_rng(0))) == 1


def test_background_is_the_median_outside_of_cells():
    image, cells, _ = field()
    image[:] = [3, 5]
    image[cells.covered()] = 90
    assert background_level(image, cells).tolist() == [3, 5]
    everywhere = LabelLayers(np.ones((2, 2), np.int32))
    assert background_level(np.full((2, 2, 1), 7, np.float32), everywhere).tolist() == [7]


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_without_a_warp_pixels_are_copied_exactly(channels):
    image, cells, nuclei = field(channels=channels)
    y0, x0 = 6, 8  # first pixels of the disk around (12, 14)
    found = cut_out(image, cells, 0, CellWarp(), box=cells.bboxes()[0], nuclei=nuclei, background=2.0, blur=0)
    height, width = found.mask.shape
    whole, core = cells.to_masks()[0], nuclei.to_masks()[0]
    assert np.array_equal(found.mask, whole[y0 : y0 + height, x0 : x0 + width])
    assert found.mask.sum() == whole.sum() and found.origin == (0, 0)
    assert np.array_equal(found.nucleus, core[y0 : y0 + height, x0 : x0 + width])
    assert np.array_equal(found.image, image[y0 : y0 + height, x0 : x0 + width] - np.float32(2))
    assert np.array_equal(found.weight, found.mask)


def test_a_quarter_turn_and_a_flip_are_those_of_numpy():
    image, cells, nuclei = field()
    image[..., 0] = np.arange(image[..., 0].size).reshape(image.shape[:2])
    box = cells.bboxes()[0]
    still = cut_out(image, cells, 0, CellWarp(), box=box, nuclei=nuclei, blur=0)
    turned = cut_out(image, cells, 0, CellWarp(angle=90), box=box, nuclei=nuclei, blur=0)
    np.testing.assert_allclose(turned.image, np.rot90(still.image), atol=0.1)
    assert np.array_equal(turned.mask, np.rot90(still.mask))
    flipped = cut_out(image, cells, 0, CellWarp(flip=True), box=box, nuclei=nuclei, blur=0)
    assert np.array_equal(flipped.image, still.image[:, ::-1])


def test_the_mask_and_the_nucleus_move_as_the_image():
    """The image shows where its own cell and nucleus are; both move alike, however they are bent."""
    _, cells, nuclei = field(radius=8)
    image = np.stack([cells.covered(), nuclei.covered()], -1).astype(np.float32)
    growths = []
    for seed in range(20):
        warp = draw_warp(np.random.default_rng(seed), **ANY)
        found = cut_out(image, cells, 1, warp, box=cells.bboxes()[1], nuclei=nuclei, blur=0)
        for channel, mask in enumerate((found.mask, found.nucleus)):
            shown = found.image[..., channel]
            assert shown[mask].min() >= 0.24 and shown[~mask].max() <= 0.76  # nearest against linear
        growths.append(found.mask.sum() / cells.areas()[1] / warp.scale**2)
    assert np.median(growths) == pytest.approx(1, abs=0.1)


def test_the_edge_falls_off_as_a_blurred_one_and_spares_other_cells():
    image, cells, _ = field(centres=((24, 24), (24, 40)), radius=6)
    found = cut_out(image, cells, 0, CellWarp(), box=cells.bboxes()[0], blur=4.0)
    y, x = found.origin
    height, width = found.mask.shape
    assert (found.weight[y : y + height, x : x + width][found.mask] == 1).all()
    line = found.weight[y + height // 2, : x + 1][::-1]  # from the outline away from the other cell
    # erfc(d / (4 sqrt(2))) for d = 0.5, 4.5 and 6.5 px
    np.testing.assert_allclose(line[[1, 5, 7]], [0.9005, 0.2606, 0.1042], atol=0.01)
    assert (np.diff(line) <= 0).all()
    other = cells.to_masks()[1]
    first = np.argwhere(cells.to_masks()[0]).min(0) - found.origin  # of the cutout in the image
    there = other[first[0] : first[0] + found.weight.shape[0], first[1] : first[1] + found.weight.shape[1]]
    assert there.any() and not found.weight[: there.shape[0], : there.shape[1]][there].any()


def test_a_cell_that_shrinks_to_nothing_is_none():
    image, cells, _ = field(radius=1)
    warps = [CellWarp(scale=0.1, angle=angle) for angle in range(0, 360, 30)]
    found = [cut_out(image, cells, 0, warp, box=cells.bboxes()[0], blur=0) for warp in warps]
    pasted = paste_cells(image, cells, found, np.random.default_rng(0))
    assert pasted.num_unplaced >= found.count(None)
    assert all(cutout is None or cutout.mask.any() for cutout in found)


@pytest.mark.parametrize("overlap", [(0.0, 0.2), (0.0, 0.0), (0.05, 0.5)])
def test_overlap_is_never_out_of_range_and_no_mask_is_lost(overlap):
    for seed in range(12):
        rng = np.random.default_rng(seed)
        target, source = field(seed=seed), field(seed=seed + 99)
        found = cutouts_of(source, rng, 12, **ANY)
        pasted = paste_cells(*target[:2], found, rng, nuclei=target[2], overlap=overlap)
        masks, nuclei = pasted.cells.to_masks(), pasted.nuclei.to_masks()
        assert np.array_equal(masks[:2], target[1].to_masks())
        assert np.array_equal(nuclei[:2], target[2].to_masks())
        assert len(pasted.placed) + pasted.num_unplaced == 12 and len(masks) == 2 + len(pasted.placed)
        rows = zip(pasted.placed, pasted.places, pasted.overlaps, strict=True)
        for number, (index, (y, x), ratio) in enumerate(rows, 2):
            expected = np.zeros((2, *masks.shape[1:]), bool)
            part = np.s_[y : y + found[index].mask.shape[0], x : x + found[index].mask.shape[1]]
            expected[0][part], expected[1][part] = found[index].mask, found[index].nucleus
            assert np.array_equal(masks[number], expected[0]) and np.array_equal(nuclei[number], expected[1])
            there = (masks[number] & masks[:number].any(0)).sum() / masks[number].sum()
            assert there == ratio and overlap[0] <= there <= overlap[1]


def test_intensities_add_up():
    """Two copies of a cell on a field of 5: their excess over the background of 3 is there twice."""
    image, cells, _ = field(centres=((12, 14),), channels=1)
    image[:] = 3
    image[cells.covered()] = 10
    rng = np.random.default_rng(0)
    copies = cutouts_of((image, cells, None), rng, 2, background=3.0, rotate=(0, 0), flip=0)
    canvas = np.full((30, 30, 1), 5, np.float32)
    pasted = paste_cells(canvas, LabelLayers.empty(30, 30), copies, rng, overlap=(0, 1), tries=500)
    assert len(pasted.placed) == 2 and pasted.num_unplaced == 0
    assert np.array_equal(pasted.image[..., 0], 5 + 7 * pasted.cells.count())
    assert (canvas == 5).all()


def test_replace_covers_what_was_there_but_keeps_its_mask():
    image, cells, _ = field(centres=((12, 14),), channels=1)
    image[:] = 8
    rng = np.random.default_rng(1)
    canvas, there = np.zeros((16, 16, 1), np.float32), LabelLayers(np.ones((16, 16), np.int32))
    copies = cutouts_of((image, cells, None), rng, 1, rotate=(0, 0), flip=0)
    pasted = paste_cells(canvas, there, copies, rng, overlap=(1, 1), mode="replace")
    masks = pasted.cells.to_masks()
    assert masks[0].all() and np.array_equal(pasted.image[..., 0], 8 * masks[1])
    assert pasted.cells.num_layers == 2 and np.array_equal(pasted.cells.overlap(), masks[1])


def test_what_fits_nowhere_is_counted():
    source, rng = field(), np.random.default_rng(0)
    copies = cutouts_of(source, rng, 5)
    full = LabelLayers(np.ones((20, 20), np.int32))
    image = np.zeros((20, 20, 2), np.float32)
    pasted = paste_cells(image, full, [*copies, None], rng)
    assert pasted.num_unplaced == 6 and not len(pasted.placed) and len(pasted.cells) == 1
    tiny = paste_cells(np.zeros((4, 4, 2), np.float32), LabelLayers.empty(4, 4), copies, rng)
    assert tiny.num_unplaced == 5 and np.array_equal(tiny.image, np.zeros((4, 4, 2)))
    none = paste_cells(image, full, [], rng)
    assert none.num_unplaced == 0 and np.array_equal(none.cells.layers, full.layers)


def test_equal_seeds_give_equal_images():
    def made(seed):
        rng = np.random.default_rng(seed)
        found = cutouts_of(field(), rng, 4, blur=3.0, **ANY)
        return paste_cells(*field(seed=1)[:2], found, rng)

    first, again, other = made(3), made(3), made(4)
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.cells.layers, again.cells.layers)
    assert not np.array_equal(first.image, other.image)


@pytest.mark.parametrize(
    "wrong, text",
    [
        (dict(overlap=(0.3, 0.1)), "overlap"),
        (dict(overlap=0.2), "overlap"),
        (dict(mode="multiply"), "mode"),
        (dict(tries=0), "tries"),
    ],
)
def test_wrong_values_are_refused(wrong, text):
    image, cells, _ = field()
    with pytest.raises(ValueError, match=text):
        paste_cells(image, cells, [], np.random.default_rng(0), **wrong)
