"""Predictions with outlines that the truth corrects: by hand, and against a reference of whole images."""

import numpy as np
import pytest
from scipy import ndimage

from cellmm.evaluation import functional as F
from cellmm.structures import rle

SHAPE = (16, 20)
CROSS = ndimage.generate_binary_structure(2, 1)


def box(y0, x0, y1, x1):
    mask = np.zeros(SHAPE, bool)
    mask[y0:y1, x0:x1] = True
    return mask


def of_class(cells, predictions, *, crowd=None):
    gt = rle.encode(np.asarray(cells, np.uint8)) if len(cells) else []
    empty = F.ClassInImage(
        [],
        np.zeros(0),
        gt,
        np.zeros(len(cells), bool) if crowd is None else np.asarray(crowd),
        rle.area(gt).astype(float),
    )
    masks = rle.encode(np.asarray(predictions, np.uint8)) if len(predictions) else []
    return empty.changed(masks, np.linspace(0.9, 0.5, len(masks)))


def mended(image, what):
    """{label: bool (D, H, W)}."""
    errors = {label: F.find_errors(found) for label, found in image.items()}
    changed = F.outline_oracle(image, errors, what)
    for label, found in changed.items():
        assert found.gt_masks == image[label].gt_masks
        if what != "ranking":
            assert set(found.scores) <= set(image[label].scores)
    return {
        label: rle.decode(found.masks, SHAPE).astype(bool) if found.masks else np.zeros((0, *SHAPE), bool)
        for label, found in changed.items()
    }


# two cells side by side, and what was found: the first reaches 2 px into the second and 1 px up
A, B = box(4, 2, 10, 8), box(4, 8, 10, 14)
WIDE, NARROW = box(3, 2, 10, 10), box(4, 10, 10, 14)


def test_against_background():
    found = mended({0: of_class([A, B], [WIDE, NARROW])}, "background")[0]
    assert np.array_equal(found[0], box(4, 2, 10, 10)) and np.array_equal(found[1], NARROW)


def test_grown_within_the_cells():
    found = mended({0: of_class([A, B], [box(5, 3, 9, 7), NARROW])}, "grown")[0]
    # a pixel and its four neighbours: the corners stay out
    assert np.array_equal(found[0], box(5, 2, 9, 8) | box(4, 3, 10, 7))
    assert np.array_equal(found[1], box(4, 9, 10, 14))
    # not into each other
    assert np.array_equal(mended({0: of_class([A, B], [A, B])}, "grown")[0], [A, B])


def test_between_cells():
    found = mended({0: of_class([A, B], [WIDE, NARROW])}, "between")[0]
    # the row above A is no cell's and stays; what A's mask had of B is B's
    assert np.array_equal(found[0], A | box(3, 2, 4, 10)) and np.array_equal(found[1], B)
    # a gap that no prediction fills stays
    found = mended({0: of_class([A, B], [box(4, 2, 10, 7), NARROW])}, "between")[0]
    assert np.array_equal(found, [box(4, 2, 10, 7), NARROW])
    # so do shared pixels of both cells, and a mask without a cell of its own
    over = A | box(4, 8, 10, 10)
    found = mended({0: of_class([over, B], [over, B, box(5, 3, 9, 7)])}, "between")[0]
    assert np.array_equal(found, [over, B, box(5, 3, 9, 7)])


def test_cells_of_another_class_and_crowds_are_foreground():
    image = {0: of_class([A], [WIDE]), 1: of_class([B], []), 2: of_class([box(3, 2, 4, 5)], [], crowd=[True])}
    found = mended(image, "background")
    assert np.array_equal(found[0][0], box(4, 2, 10, 10) | box(3, 2, 4, 5))
    assert np.array_equal(mended(image, "between")[0][0], A | box(3, 2, 4, 10))


def test_dilated_and_eroded_at_the_edge_of_the_image():
    mask = box(0, 0, 4, 5)
    image = {0: of_class([A], [mask])}
    assert np.array_equal(mended(image, "dilated")[0][0], box(0, 0, 4, 6) | box(0, 0, 5, 5))
    assert np.array_equal(mended(image, "eroded")[0][0], box(0, 0, 3, 4))


def test_ranking_is_that_of_repair():
    image = {0: of_class([A, B], [box(15, 18, 16, 20), A, B])}
    errors = {0: F.find_errors(image[0])}
    changed = F.outline_oracle(image, errors, "ranking")
    assert changed[0].masks == [image[0].masks[i] for i in (1, 2, 0)]
    assert F.average_precision([changed])[0].mean() == 1 > F.average_precision([image])[0].mean()


def test_a_mask_that_loses_all_its_pixels_goes():
    image = {0: of_class([A], [box(12, 12, 14, 14), A])}
    changed = F.outline_oracle(image, {0: F.find_errors(image[0])}, "background")[0]
    assert changed.masks == image[0].masks[1:] and changed.scores.tolist() == [0.5]


def test_nothing_on_either_side():
    for what in F.OUTLINE_ROWS:
        assert mended({}, what) == {} and mended({0: of_class([], [])}, what)[0].shape == (0, *SHAPE)
        assert mended({0: of_class([A], [])}, what)[0].shape == (0, *SHAPE)
        gone = what in ("background", "grown")
        assert mended({0: of_class([], [A])}, what)[0].shape == (0 if gone else 1, *SHAPE)
    with pytest.raises(ValueError, match="what is 'shape': one of"):
        F.outline_oracle({}, {}, "shape")


def random_masks(rng, number):
    masks = np.zeros((number, *SHAPE), bool)
    for mask in masks:
        y, x = rng.integers(0, 14, 2)
        h, w = rng.integers(1, 9, 2)
        mask[y : y + h, x : x + w] = True
        mask &= rng.random(SHAPE) < rng.choice([1.0, 0.9])
    return masks


def test_random_images_of_two_classes():
    rng = np.random.default_rng(0)
    for _ in range(60):
        cells = [random_masks(rng, rng.integers(0, 4)) for _ in range(2)]
        guess = [random_masks(rng, rng.integers(0, 4)) for _ in range(2)]
        image = {label: of_class(cells[label], guess[label]) for label in range(2)}
        errors = {label: F.find_errors(image[label]) for label in range(2)}
        inside = np.concatenate(cells).any(0)
        claimed = np.concatenate(guess).any(0)
        for label in range(2):
            masks, own = guess[label], errors[label].own_cell
            wide = np.array([ndimage.binary_dilation(m, CROSS) for m in masks], bool).reshape(masks.shape)
            thin = np.array([ndimage.binary_erosion(m, CROSS, border_value=1) for m in masks], bool)
            expected = dict(
                background=masks & inside,
                grown=(masks | (wide & ~claimed)) & inside,
                dilated=wide,
                eroded=thin,
            )
            expected["between"] = masks.copy()
            for i in np.flatnonzero(own >= 0):
                cell = cells[label][own[i]]
                expected["between"][i] = (masks[i] & (cell | ~inside)) | (cell & claimed)
            for what, changed in expected.items():  # masks that lose all their pixels go
                changed = changed.reshape(-1, *SHAPE)
                assert np.array_equal(mended(image, what)[label], changed[changed.any((1, 2))]), what
