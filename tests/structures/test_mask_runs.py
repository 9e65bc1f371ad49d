"""MaskRuns against masks that are painted in full."""

import numpy as np
import pytest

from cellmm.errors import CellMMError
from cellmm.structures import MaskRuns, rle

SHAPE = (37, 53)


@pytest.fixture(params=[0, 1, 2])
def masks(request):
    """Random blobs, whole columns, the whole image, an empty mask, single pixels in corners."""
    rng = np.random.default_rng(request.param)
    masks = rng.random((12, *SHAPE)) < rng.uniform(0.01, 0.9, (12, 1, 1))
    masks[0], masks[1] = True, False
    masks[2] = False
    masks[2, :, 3:6] = True
    masks[3] = False
    masks[3, 0, 0] = masks[3, -1, -1] = True
    masks[4] = False
    masks[4, -2:, 7] = masks[4, :2, 8] = True  # goes on at the top of the next column
    return masks


def test_there_and_back_from_rles(masks):
    rles = rle.encode(masks)
    runs = MaskRuns.from_rles(rles, SHAPE)
    assert runs.to_rles() == rles
    assert runs.areas().tolist() == masks.sum((1, 2)).tolist()
    boxes = rle.bbox(rles).astype(int)
    assert runs.boxes().tolist() == [[y, x, y + h, x + w] for x, y, w, h in boxes.tolist()]


def test_crops_are_the_masks_in_their_boxes(masks):
    runs = MaskRuns.from_rles(rle.encode(masks), SHAPE)
    crops, origins = zip(*(runs.crop(i) for i in range(len(runs))), strict=True)
    for mask, crop, (top, left) in zip(masks, crops, origins, strict=True):
        painted = np.zeros(SHAPE, bool)
        painted[top : top + crop.shape[0], left : left + crop.shape[1]] = crop
        assert (painted == mask).all()
    again = MaskRuns.from_crops(crops, origins, SHAPE)
    assert again.to_rles() == runs.to_rles()


def test_windows_are_the_masks_in_any_box(masks):
    runs = MaskRuns.from_rles(rle.encode(masks), SHAPE)
    for top, left, bottom, right in [(0, 0, *SHAPE), (3, 5, 20, 9), (36, 0, 37, 53), (4, 4, 4, 8)]:
        for i, mask in enumerate(masks):
            window = runs.window(i, (top, left, bottom, right))
            assert np.array_equal(window, mask[top:bottom, left:right])


def test_select_concatenate_and_move(masks):
    rles = rle.encode(masks)
    runs = MaskRuns.from_rles(rles, SHAPE)
    assert runs.select([3, 0, 3]).to_rles() == [rles[3], rles[0], rles[3]]
    assert runs.select(np.zeros(len(runs), bool)).to_rles() == []
    assert MaskRuns.concatenate([runs, MaskRuns.empty(SHAPE), runs]).to_rles() == rles + rles
    larger = np.pad(masks, ((0, 0), (5, 2), (1, 9)))
    moved = runs.moved(5, 1, larger.shape[1:])
    assert moved.to_rles() == rle.encode(larger)
    assert moved.select([2]).moved(-5, -1, SHAPE).to_rles() == [rles[2]]
    with pytest.raises(ValueError, match="leave an image"):
        runs.moved(0, -1, SHAPE)


def test_intersections_are_those_of_painted_masks(masks, monkeypatch):
    monkeypatch.setattr("cellmm.structures.mask_runs.LONGEST", 5)
    monkeypatch.setattr("cellmm.structures.mask_runs.MANY", 50)
    first, second = (MaskRuns.from_rles(rle.encode(some), SHAPE) for some in (masks, masks[::-2]))
    shared = (masks[:, None] & masks[None, ::-2]).sum((2, 3))
    i, j = np.nonzero(shared)
    found = first.intersections(second)
    assert [part.tolist() for part in found] == [i.tolist(), j.tolist(), shared[i, j].tolist()]


@pytest.mark.parametrize(
    "other", [MaskRuns.empty(SHAPE), MaskRuns.from_crops([np.ones((2, 2))], [(0, 0)], SHAPE)]
)
def test_without_masks(other):
    none = MaskRuns.empty(SHAPE)
    assert [len(part) for part in none.intersections(other)] == [0, 0, 0]
    assert [len(part) for part in other.intersections(none)] == [0, 0, 0]
    assert none.boxes().shape == (0, 4)
    assert none.to_rles() == []
    assert len(MaskRuns.from_crops([], [], SHAPE)) == 0


def test_what_lies_outside_is_refused():
    with pytest.raises(ValueError, match="not inside"):
        MaskRuns.from_crops([np.ones((2, 2), bool)], [(36, 0)], SHAPE)


def test_too_large_for_coco():
    runs = MaskRuns.from_crops([np.ones((2, 2), bool)], [(99_000, 5)], (100_000, 100_000))
    assert runs.boxes().tolist() == [[99_000, 5, 99_002, 7]]
    with pytest.raises(CellMMError, match="too many for COCO RLE"):
        runs.to_rles()


@pytest.mark.parametrize("step", [1, 2, 3, 50])
def test_thinned(step):
    masks = np.random.default_rng(0).random((5, 17, 23)) < 0.6
    runs = MaskRuns.from_crops(list(masks), [(0, 0)] * 5, (17, 23))
    thin = runs.thinned(step)
    expected = masks[:, ::step, ::step]
    assert thin.to_rles() == rle.encode(expected)
    assert thin.first[-1] == sum(
        int((np.diff(np.pad(m, ((1, 0), (0, 0))).astype(int), axis=0) == 1).sum()) for m in expected
    )


def test_numbers_from_the_end():
    masks = MaskRuns.from_crops(
        [np.ones((1, 1), bool), np.ones((2, 1), bool), np.ones((3, 1), bool)], [(0, 0)] * 3, (4, 4)
    )
    assert masks.select([-1, 0, -2]).areas().tolist() == [3, 1, 2]
    assert masks.select(np.array([True, False, True])).areas().tolist() == [1, 3]
    assert len(masks.select([])) == 0
    assert masks.crop(-2)[0].shape == (2, 1)
    for wrong in (3, -4):
        with pytest.raises(IndexError):
            masks.select([wrong])
        with pytest.raises(IndexError):
            masks.crop(wrong)
    with pytest.raises(IndexError):
        masks.select(np.array([True, False]))
