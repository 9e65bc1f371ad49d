import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco_mask

from cellmm.errors import CellMMError
from cellmm.structures import rle

MASKS = hnp.arrays(bool, st.tuples(st.integers(0, 4), st.integers(1, 12), st.integers(1, 12)))


def test_encode_one_by_hand():
    # Down the columns 0 1 0 | 1 0 0: runs of 1 1 1 1 2 pixels; from the fourth on the difference to the last
    # but one is written, so 1 1 1 0 1, each as chr(48 + n).
    mask = np.array([[0, 1], [1, 0], [0, 0]])
    assert rle.encode_one(mask) == {"size": [3, 2], "counts": "11101"}


@settings(deadline=None)
@given(MASKS)
def test_encode_and_decode_are_inverse(masks):
    rles = rle.encode(masks)
    assert len(rles) == len(masks)
    assert all(isinstance(mask["counts"], str) for mask in rles)
    np.testing.assert_array_equal(rle.decode(rles, masks.shape[1:]), masks)


@settings(deadline=None)
@given(MASKS)
def test_runs_are_the_masks_and_give_the_same_text(masks):
    num, h, w = masks.shape
    rles = rle.encode(masks)
    owner, start, length = rle.to_runs(rles, (h, w))
    painted = np.zeros((num, w * h), dtype=int)
    for i, a, n in zip(owner, start, length, strict=True):
        painted[i, a : a + n] += 1
    np.testing.assert_array_equal(painted.reshape(num, w, h).transpose(0, 2, 1), masks)
    assert rle.from_runs(owner, start, length, num, (h, w)) == rles
    np.testing.assert_array_equal(rle.union(rles, (h, w)), masks.any(0))


@settings(deadline=None)
@given(st.lists(st.integers(0, 100_000), min_size=1, max_size=9))
def test_text_of_long_runs_is_that_of_pycocotools(counts):
    size = [sum(counts) or 1, 1]
    counts = counts if sum(counts) else [1]
    theirs = coco_mask.frPyObjects({"size": size, "counts": counts}, *size)
    values, owner, place = rle._counts([theirs], tuple(size))
    assert values.tolist() == counts
    assert owner.tolist() == [0] * len(counts)
    assert place.tolist() == list(range(len(counts)))
    positive = [n for n in counts if n]
    if positive == counts and len(counts) > 1:
        ours = rle.from_runs(*rle.to_runs([theirs]), 1, tuple(size))
        assert ours[0]["counts"] == theirs["counts"].decode()


@settings(deadline=None)
@given(MASKS)
def test_area_and_bbox(masks):
    rles = rle.encode(masks)
    areas, boxes = rle.area(rles), rle.bbox(rles)
    assert areas.dtype == np.int64 and boxes.shape == (len(masks), 4)
    np.testing.assert_array_equal(areas, masks.sum((1, 2)))
    for mask, (x, y, w, h) in zip(masks, boxes, strict=True):
        rows, cols = np.nonzero(mask)
        tight = (cols.min(), rows.min(), np.ptp(cols) + 1, np.ptp(rows) + 1) if len(rows) else (0, 0, 0, 0)
        assert (x, y, w, h) == tight


def test_area_of_many():
    masks = np.zeros((600, 3, 3), dtype=bool)
    masks[:, 1, :2] = True
    assert rle.area(rle.encode(masks)).tolist() == [2] * 600


def test_iou_by_hand():
    masks = np.zeros((4, 4, 4), dtype=np.uint8)
    masks[0, :2] = 255  # 8 pixels
    masks[1, 1:] = 1  # 12, 4 of them shared
    masks[2, 3, 3] = 1
    rles = rle.encode(masks)
    expected = [[1, 4 / 16, 0, 0], [4 / 16, 1, 1 / 12, 0], [0, 1 / 12, 1, 0], [0, 0, 0, 0]]
    np.testing.assert_allclose(rle.iou(rles, rles), expected)
    assert rle.iou([], rles).shape == (0, 4) and rle.iou(rles, []).shape == (4, 0)
    with pytest.raises(CellMMError, match="different image sizes"):
        rle.iou(rles, rle.encode(np.ones((1, 4, 5), bool)))


def test_empty_lists():
    assert rle.encode(np.zeros((0, 3, 5), bool)) == []
    assert rle.decode([], (3, 5)).shape == (0, 3, 5)
    assert rle.area([]).shape == (0,) and rle.bbox([]).shape == (0, 4) and rle.iou([], []).shape == (0, 0)
    assert rle.validate([], (3, 5)) == (3, 5)
    with pytest.raises(ValueError, match="shape"):
        rle.decode([])


def test_bytes_and_numpy_sizes_are_taken():
    mask = coco_mask.encode(np.asfortranarray(np.eye(3, dtype=np.uint8)))
    mask["size"] = np.array(mask["size"])
    np.testing.assert_array_equal(rle.decode([mask])[0], np.eye(3, dtype=bool))


GOOD = {"size": [3, 2], "counts": "11101"}


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"size": [3, 2]}, "RLE 1 of 2 is not a dict"),
        ([[0, 0, 1, 1, 2, 2]], "RLE 1 of 2 is not a dict"),
        ({"size": [3, 2], "counts": [1, 5]}, "type list: compress it"),
        ({"size": [2, 3], "counts": "11101"}, r"RLE 1 of 2 .*\[2, 3\]"),
        ({"size": 6, "counts": "11101"}, "RLE 1 of 2 has size 6"),
        ({"size": [3, "2"], "counts": "11101"}, "RLE 1 of 2 has size"),
        ({"size": [3, 2], "counts": ""}, "RLE 1 of 2 has empty"),
        ({"size": [3, 2], "counts": "1110"}, "RLE 1 of 2 has runs of 4 pixels"),
        ({"size": [3, 2], "counts": "1110O"}, "RLE 1 of 2 has runs"),  # a last run of -1
        ({"size": [3, 2], "counts": "11P"}, "RLE 1 of 2 has damaged"),  # cut off within a number
        ({"size": [3, 2], "counts": "1 1"}, "RLE 1 of 2 has damaged"),
        ({"size": [3, 2], "counts": "1ä1"}, "RLE 1 of 2 has damaged"),
        ({"size": [3, 2], "counts": "P" * 20 + "1"}, "RLE 1 of 2 has damaged"),
    ],
)
def test_what_is_no_rle_is_an_error(bad, message):
    with pytest.raises(CellMMError, match=message):
        rle.validate([GOOD, bad])


def test_wrong_masks_are_errors():
    with pytest.raises(ValueError, match="shape"):
        rle.encode(np.zeros((3, 3), bool))
    with pytest.raises(ValueError, match="shape"):
        rle.encode_one(np.zeros((1, 3, 3), bool))
    with pytest.raises(ValueError, match="at least one pixel"):
        rle.encode(np.zeros((1, 0, 3), bool))
    with pytest.raises(CellMMError, match="float64"):
        rle.encode(np.full((1, 2, 2), 0.3))
    with pytest.raises(CellMMError, match="cannot hold masks"):
        rle.validate([], (0, 3))
