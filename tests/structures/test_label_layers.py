import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cellmm.errors import CellMMError
from cellmm.structures import LabelLayers, rle

MASKS = hnp.arrays(bool, st.tuples(st.integers(0, 6), st.integers(1, 10), st.integers(1, 10)))


def boxes_of_cells(*boxes, shape=(8, 8)):
    """Rectangular cells from (y0, x0, y1, x1)."""
    masks = np.zeros((len(boxes), *shape), dtype=bool)
    for mask, (y0, x0, y1, x1) in zip(masks, boxes, strict=True):
        mask[y0:y1, x0:x1] = True
    return masks


@settings(deadline=None)
@given(MASKS)
def test_masks_rles_and_layers_hold_the_same(masks):
    layers = LabelLayers.from_masks(masks)
    assert len(layers) == len(masks) and layers.shape == masks.shape[1:]
    assert layers.layers.dtype == np.int32 and layers.layers.flags.c_contiguous
    np.testing.assert_array_equal(layers.to_masks(), masks)
    assert layers.to_rles() == rle.encode(masks)
    again = LabelLayers.from_rles(layers.to_rles(), layers.shape)
    np.testing.assert_array_equal(again.layers, layers.layers)


@settings(deadline=None)
@given(MASKS)
def test_numbers_agree_with_the_masks(masks):
    layers = LabelLayers.from_masks(masks)
    assert layers.areas().tolist() == masks.sum((1, 2)).tolist() and layers.areas().dtype == np.int64
    xywh = rle.bbox(rle.encode(masks))
    np.testing.assert_array_equal(
        layers.bboxes(), np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], 1)
    )
    np.testing.assert_array_equal(layers.count(), masks.sum(0))
    np.testing.assert_array_equal(layers.overlap(), masks.sum(0) > 1)
    np.testing.assert_array_equal(layers.covered(), masks.any(0))
    most = int(masks.sum(0).max()) if len(masks) else 0
    assert max(most, 1) <= layers.num_layers <= max(len(masks), 1)


@settings(deadline=None)
@given(MASKS, st.data())
def test_crop_select_and_compact_agree_with_the_masks(masks, data):
    num, h, w = masks.shape
    layers = LabelLayers.from_masks(masks)
    y0, x0 = data.draw(st.integers(0, h - 1)), data.draw(st.integers(0, w - 1))
    y1, x1 = data.draw(st.integers(y0 + 1, h)), data.draw(st.integers(x0 + 1, w))
    cropped = layers.crop(y0, x0, y1, x1)
    expected = masks[:, y0:y1, x0:x1]
    assert len(cropped) == num
    np.testing.assert_array_equal(cropped.to_masks(), expected)

    compact, kept = cropped.compact()
    assert kept.dtype == np.int64
    assert kept.tolist() == np.flatnonzero(expected.any((1, 2))).tolist()
    np.testing.assert_array_equal(compact.to_masks(), expected[kept])
    assert compact.layers.any((1, 2)).all() or compact.num_layers == 1

    chosen = data.draw(st.permutations(range(num)))[: data.draw(st.integers(0, num))]
    np.testing.assert_array_equal(layers.select(chosen).to_masks(), masks[chosen])
    np.testing.assert_array_equal(layers.to_masks(), masks)


@settings(deadline=None)
@given(hnp.arrays(np.int64, hnp.array_shapes(min_dims=2, max_dims=2, max_side=8), elements=st.integers(0, 5)))
def test_a_label_image_is_one_layer(label):
    ids = np.unique(label[label > 0])
    for gap in (1, 7, 10**12):  # by a table and by sorting
        layers = LabelLayers.from_label_image(label * gap)
        assert len(layers) == len(ids) and layers.num_layers == 1
        np.testing.assert_array_equal(
            layers.layers[0], np.searchsorted(ids, label, side="right") * (label > 0)
        )
        assert layers.layers.dtype == np.int32


def test_overlap_by_hand():
    masks = boxes_of_cells((0, 0, 4, 4), (2, 2, 5, 5), (6, 6, 8, 8))
    layers = LabelLayers.from_masks(masks)
    assert layers.num_layers == 2 and repr(layers) == "LabelLayers(3 instances, 2 layers of (8, 8) pixels)"
    assert layers.areas().tolist() == [16, 9, 4]
    assert layers.bboxes().tolist() == [[0, 0, 4, 4], [2, 2, 5, 5], [6, 6, 8, 8]]
    assert layers.overlap().sum() == 4
    compact, kept = layers.crop(5, 5, 8, 8).compact()
    assert kept.tolist() == [2] and compact.num_layers == 1 and compact.areas().tolist() == [4]


def test_few_layers_are_enough():
    # A chain in an order in which first fit alone needs three layers.
    chain = boxes_of_cells((0, 0, 1, 3), (0, 6, 1, 9), (0, 2, 1, 5), (0, 4, 1, 7), shape=(1, 9))
    assert LabelLayers.from_masks(chain).num_layers == 2
    # More cells on a pixel than a 64 bit word has bits, and a pile without a graph.
    for num in (70, 1200):
        pile = LabelLayers.from_masks(np.ones((num, 5, 5), dtype=np.uint8))
        assert pile.num_layers == num and (pile.areas() == 25).all()


def test_no_instances():
    for layers in (
        LabelLayers.empty(3, 5),
        LabelLayers.from_masks([], shape=(3, 5)),
        LabelLayers.from_masks(np.zeros((0, 3, 5), bool)),
        LabelLayers.from_rles([], (3, 5)),
        LabelLayers.from_label_image(np.zeros((3, 5), np.uint8)),
    ):
        assert len(layers) == 0 and layers.shape == (3, 5) and layers.num_layers == 1
        assert layers.to_masks().shape == (0, 3, 5) and layers.to_rles() == []
        assert layers.areas().shape == (0,) and layers.bboxes().shape == (0, 4)
        assert layers.count().sum() == 0 and not layers.overlap().any()
        assert len(layers.compact()[0]) == 0 and len(layers.select([])) == 0
        assert layers.crop(1, 1, 2, 2).shape == (1, 1)


def test_empty_instances_keep_their_place():
    layers = LabelLayers(np.array([[0, 2], [0, 0]]), num=3)
    assert layers.areas().tolist() == [0, 1, 0]
    assert layers.bboxes().tolist() == [[0, 0, 0, 0], [1, 0, 2, 1], [0, 0, 0, 0]]
    assert rle.area(layers.to_rles()).tolist() == [0, 1, 0]
    assert layers.compact()[1].tolist() == [1]


def test_5000_cells():
    rng = np.random.default_rng(0)
    size, num = 1000, 5000
    tops = rng.integers(0, size - 12, (num, 2))
    start = ((tops[:, 1:] + np.arange(10)) * size + tops[:, :1]).ravel()
    rles = rle.from_runs(np.repeat(np.arange(num), 10), start, np.full(len(start), 12), num, (size, size))
    layers = LabelLayers.from_rles(rles, (size, size))
    assert (layers.areas() == 120).all()
    assert layers.count().sum() == 120 * num
    assert layers.num_layers <= layers.count().max() + 1
    assert layers.to_rles() == rles
    boxes = layers.bboxes()
    np.testing.assert_array_equal(boxes, np.concatenate([tops[:, ::-1], tops[:, ::-1] + [10, 12]], axis=1))


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (np.full((2, 2), 0.5), "fractions or NaN"),
        (np.full((2, 2), np.nan), "fractions or NaN"),
        (np.full((2, 2), 1e300), "fractions or NaN"),
        (np.ones((2, 2), complex), "not complex128"),
        (np.array([[0, -3]]), "label -3 is negative"),
        (np.array([[[0, 4]], [[4, 0]]]), "label 4 .* is on 2 layers"),
        (np.array([[[0, 10**9]], [[10**9, 0]]]), "label 1000000000 .* is on 2 layers"),
        (np.zeros(3, int), "shape"),
        (np.zeros((0, 3), int), "shape"),
    ],
)
def test_what_is_no_label_image_is_an_error(label, message):
    with pytest.raises(CellMMError, match=message):
        LabelLayers.from_label_image(label)


def test_label_images_of_other_types():
    stack = np.array([[[0, 9]], [[4, 0]]], dtype=np.uint16)
    assert LabelLayers.from_label_image(stack).layers.tolist() == [[[0, 2]], [[1, 0]]]
    assert LabelLayers.from_label_image(np.array([[True, False]])).layers.tolist() == [[[1, 0]]]
    assert LabelLayers.from_label_image(np.array([[7.0, 0.0]])).layers.tolist() == [[[1, 0]]]
    huge = np.array([[2**63 + 1, 0, 5]], dtype=np.uint64)
    assert LabelLayers.from_label_image(huge).layers.tolist() == [[[2, 0, 1]]]


def test_wrong_arguments_are_errors():
    with pytest.raises(ValueError, match="0 to num = 1"):
        LabelLayers(np.array([[0, 2]]), num=1)
    with pytest.raises(ValueError, match="from -1"):
        LabelLayers(np.array([[0, -1]]))
    with pytest.raises(ValueError, match="float"):
        LabelLayers(np.zeros((1, 2, 2)))
    with pytest.raises(ValueError, match="at least one pixel"):
        LabelLayers(np.zeros((0, 2, 2), int))
    with pytest.raises(ValueError, match="shape="):
        LabelLayers.from_masks([])
    with pytest.raises(CellMMError, match="do not fit"):
        LabelLayers.from_masks(np.zeros((1, 2, 2), bool), shape=(2, 3))
    with pytest.raises(CellMMError, match="threshold"):
        LabelLayers.from_masks(np.full((1, 2, 2), 0.4))
    with pytest.raises(CellMMError, match=r"\[2, 2\] pixels"):
        LabelLayers.from_rles(rle.encode(np.ones((1, 2, 2), bool)), (2, 3))
    layers = LabelLayers.from_masks(np.ones((2, 2, 2), bool))
    for indices in ([2], [-1], [0, 0], [True]):
        with pytest.raises(ValueError, match="allowed|twice|bool selection"):
            layers.select(indices)
    with pytest.raises(ValueError, match="not inside"):
        layers.crop(0, 0, 3, 2)
    assert layers.select(np.array([False, True])).areas().tolist() == [4]
