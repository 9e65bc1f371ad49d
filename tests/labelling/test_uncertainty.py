"""How unsure a model is of an image, by hand."""

import numpy as np
import pytest

from cellmm.labelling.mirrored import turned_back
from cellmm.labelling.uncertainty import disagreement_of, entropies, keep_probs, uncertainty_of
from cellmm.results import Instances
from cellmm.structures import MaskRuns

SHAPE = (20, 30)


def cells(*found: tuple[int, int, float], side: int = 4) -> Instances:
    """Squares at (row, column) with a score."""
    masks = MaskRuns.from_crops(
        [np.ones((side, side), bool)] * len(found), [cell[:2] for cell in found], SHAPE
    )
    scores = np.array([cell[2] for cell in found], np.float32)
    return Instances(masks, scores, np.zeros(len(found), np.int64))


def test_the_threshold_is_in_doubt_whatever_it_is():
    for threshold in (0.1, 0.4, 0.9):
        assert keep_probs(np.array([0, threshold, 1]), threshold).tolist() == [0, 0.5, 1]
    assert entropies(np.array([0.25, 0.75])).tolist() == pytest.approx([0.811278, 0.811278])


def test_counts_and_entropy_of_an_image():
    found = cells((0, 0, 0.95), (0, 10, 0.4), (0, 20, 0.3), (10, 0, 0.1))
    unsure = uncertainty_of(found, threshold=0.4)
    assert (unsure.cells, unsure.candidates, unsure.in_doubt) == (2, 1, 2)  # 0.1 is below half the threshold
    probs = [0.5 + 0.55 / 1.2, 0.5, 0.375]
    wanted = np.mean([-p * np.log2(p) - (1 - p) * np.log2(1 - p) for p in probs])
    assert unsure.score == unsure.entropy == pytest.approx(wanted, abs=1e-6)


def test_an_image_without_cells_is_blank_and_sure():
    unsure = uncertainty_of(cells(), threshold=0.4)
    assert unsure.is_blank and unsure.score == 0
    unsure = uncertainty_of(cells(), threshold=0.4, mirrored=cells((0, 0, 0.9)))
    assert unsure.disagreement == 1 and unsure.score == 0.5 and not unsure.is_blank


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_thresholds_at_the_ends(threshold):
    unsure = uncertainty_of(cells((0, 0, 0.5), (0, 10, 1.0)), threshold)
    assert 0 <= unsure.score <= 1 and unsure.cells == (2 if threshold == 0 else 1)


def test_disagreement_is_one_less_pq():
    mine, theirs = cells((0, 0, 1), (0, 10, 1)).masks, cells((0, 1, 1), (10, 20, 1)).masks
    assert disagreement_of(mine, mine) == 0
    # the first pair shares 12 of 20 pixels; one is missed, one is false
    assert disagreement_of(mine, theirs) == pytest.approx(1 - 0.6 / 2)
    assert disagreement_of(mine, MaskRuns.empty(SHAPE)) == 1
    assert disagreement_of(MaskRuns.empty(SHAPE), MaskRuns.empty(SHAPE)) == 0


def test_cells_of_mirror_images_are_turned_back():
    rng = np.random.default_rng(0)
    crops = [rng.random((7, 9)) < 0.6 for _ in range(5)]
    masks = MaskRuns.from_crops(crops, [(int(y), int(x)) for y, x in rng.integers(0, 13, (5, 2))], SHAPE)
    found = Instances(masks, np.ones(5, np.float32), np.zeros(5, np.int64))
    assert turned_back(turned_back(found)).masks.to_rles() == masks.to_rles()
    there = turned_back(found).masks
    for i in range(5):
        mask, (top, left) = masks.crop(i)
        back, (row, column) = there.crop(i)
        assert (back == mask[:, ::-1]).all() and row == top and column == SHAPE[1] - left - mask.shape[1]
