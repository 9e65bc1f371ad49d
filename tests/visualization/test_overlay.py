import numpy as np
import pytest

from cellmm.datasets import BBBC010Dataset
from cellmm.structures import LabelLayers, rle
from cellmm.visualization import draw_instances

RED, BLUE = (255, 0, 0), (0, 0, 255)


def two_crossing_bars():
    """30 x 30 pixels; the bars share rows and columns 12 to 17."""
    masks = np.zeros((2, 30, 30), bool)
    masks[0, 12:18, 3:27] = True
    masks[1, 3:27, 12:18] = True
    return masks


def draw(cells, scale=1, **options):
    return draw_instances(
        np.zeros((30, 30)), cells, scale=scale, colors=np.array([RED, BLUE])[: len(cells)], **options
    )


def test_outline_fill_and_overlap_by_hand():
    picture = draw(rle.encode(two_crossing_bars()), fill=0.2)
    assert picture.shape == (30, 30, 3) and picture.dtype == np.uint8
    assert picture[14, 3].tolist() == [255, 0, 0]  # the end of the first bar is outline
    assert picture[14, 5].tolist() == [51, 0, 0]  # 0.2 of red on black
    assert picture[5, 14].tolist() == [0, 0, 51]
    assert picture[0, 0].tolist() == [0, 0, 0]
    shared = picture[13:17, 13:17].reshape(-1, 3).tolist()
    assert [255, 255, 255] in shared  # hatching
    assert [41, 0, 51] in shared  # 0.8 x 0.2 of red under 0.2 of blue
    white = (picture == 255).all(2)
    assert not white[~two_crossing_bars().all(0)].any()


def test_outlines_of_both_cells_go_through_the_overlap():
    picture = draw(LabelLayers.from_masks(two_crossing_bars()))
    assert picture[14, 12].tolist() == [0, 0, 255]  # left side of the second bar, inside the first
    assert picture[12, 14].tolist() == [255, 0, 0]
    rows = picture[3:27, 12]
    assert (rows[:, 2] > 128).all()  # unbroken


def test_layers_and_rles_give_the_same_picture():
    masks = two_crossing_bars()
    assert np.array_equal(draw(rle.encode(masks)), draw(LabelLayers.from_masks(masks)))


def test_holes_have_an_outline_and_no_fill():
    mask = np.zeros((1, 30, 30), bool)
    mask[0, 5:25, 5:25] = True
    mask[0, 10:20, 10:20] = False
    picture = draw(rle.encode(mask))
    assert picture[15, 9].tolist() == [255, 0, 0]
    assert picture[15, 15].tolist() == [0, 0, 0]


@pytest.mark.parametrize(("scale", "size"), [(1, 30), (3, 90), (None, 120)])
def test_scale(scale, size):
    picture = draw(rle.encode(two_crossing_bars()), scale=scale)
    assert picture.shape == (size, size, 3)
    factor = size // 30
    inside = picture[14 * factor, 6 * factor].tolist()
    assert inside == [51, 0, 0]
    # The bar's edge is where it is in the image, to a pixel of the picture.
    bar = np.flatnonzero(picture[14 * factor + factor // 2, : 10 * factor, 0])
    assert abs(bar[0] - 3 * factor) <= 1


def test_cells_at_the_border_and_without_pixels():
    masks = np.zeros((3, 8, 9), bool)
    masks[0, :, :4] = True
    masks[2, 7, 8] = True
    for scale in (1, 2, 4):
        picture = draw_instances(np.zeros((8, 9)), rle.encode(masks), [0.5, 0.5, 0.5], scale=scale)
        assert picture.shape == (8 * scale, 9 * scale, 3)
        assert picture[:scale, :scale].any() and picture[-scale:, -scale:].any()


def test_no_cells():
    image = np.arange(12, dtype=np.uint16).reshape(3, 4)
    assert draw_instances(image, [], [], scale=1)[..., 0].argmax() == 11
    assert draw_instances(image, LabelLayers.empty(3, 4), scale=2).shape == (6, 8, 3)


def test_scores_are_written_where_there_is_room():
    mask = np.zeros((2, 60, 80), bool)
    mask[0, 5:40, 5:60] = True
    mask[1, 50:54, 70:74] = True
    image = np.zeros((60, 80))
    plain = draw_instances(image, rle.encode(mask), scale=1)
    scored = draw_instances(image, rle.encode(mask), [0.93, 0.41], scale=1)
    changed = np.argwhere((plain != scored).any(2))
    assert len(changed) > 20
    assert (changed >= (5, 5)).all() and (changed < (40, 60)).all()


def test_neither_image_nor_cells_are_changed():
    image, layers = np.full((30, 30, 2), 5.0), LabelLayers.from_masks(two_crossing_bars())
    kept = layers.layers.copy()
    draw_instances(image, layers)
    assert (image == 5).all() and np.array_equal(layers.layers, kept)


@pytest.mark.parametrize("channels", [1, 2, 3, 5, 8])
def test_any_number_of_channels(channels):
    image = np.random.default_rng(0).integers(0, 4000, (30, 30, channels)).astype(np.uint16)
    picture = draw_instances(image, rle.encode(two_crossing_bars()), scale=1)
    assert picture.shape == (30, 30, 3)
    if channels == 2:
        assert np.array_equal(
            picture, draw_instances(image[..., 0], rle.encode(two_crossing_bars()), scale=1)
        )


def test_what_does_not_fit():
    masks = rle.encode(two_crossing_bars())
    with pytest.raises(ValueError, match=r"\[30, 30\]"):
        draw_instances(np.zeros((30, 31)), masks)
    with pytest.raises(ValueError, match="on one of"):
        draw_instances(np.zeros((30, 31)), LabelLayers.from_rles(masks, (30, 30)))
    with pytest.raises(ValueError, match="1 scores for 2 cells"):
        draw_instances(np.zeros((30, 30)), masks, [0.5])
    with pytest.raises(ValueError, match="1 colors for 2 cells"):
        draw_instances(np.zeros((30, 30)), masks, colors=np.zeros((1, 3)))


def test_real_worms(real_data):
    pipeline = [dict(type="LoadImage"), dict(type="LoadCells")]
    pipeline = [dict(step, _scope_="cellmm") for step in pipeline]
    dataset = BBBC010Dataset(
        data_root=real_data("bbbc010"), split="test", test_mode=True, pipeline=pipeline, indices=2
    )
    loaded = dataset[1]
    image, cells = loaded["img"], loaded["gt_layers"]
    plain, drawn = draw_instances(image, [], scale=1), draw_instances(image, cells, scale=1)
    changed = (plain != drawn).any(2)
    worms = cells.count() > 0
    assert changed[worms].mean() > 0.95
    y, x = np.nonzero(changed)
    y0, x0, y1, x1 = (*np.argwhere(worms).min(0), *np.argwhere(worms).max(0))
    assert y.min() >= y0 - 1 and x.min() >= x0 - 1 and y.max() <= y1 + 1 and x.max() <= x1 + 1
