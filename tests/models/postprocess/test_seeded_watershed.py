"""Watershed on maps of which the cells are known."""

import numpy as np
import pytest
from scipy import ndimage

from cellmm.registry import TASK_UTILS
from cellmm.structures import CellSample, rle


def build(**options):
    return TASK_UTILS.build(dict(type="SeededWatershed", **options))


def disk(shape, y, x, radius):
    yy, xx = np.indices(shape)
    return (yy - y) ** 2 + (xx - x) ** 2 <= radius**2


def as_map(mask, high=0.9, low=0.1):
    return np.where(mask, high, low).astype(np.float32)


def masks_of(post, maps, stride=1, scale=1):
    """bool (N, h, w) in the original frame."""
    found = post(maps)
    shape = tuple(side * stride for side in maps["cytoplasm"].shape)
    ori = tuple(int(side * scale) for side in shape)
    to_original = np.array([[scale, 0, (scale - 1) / 2], [0, scale, (scale - 1) / 2], [0, 0, 1]])
    frame = dict(img_shape=shape, to_original=to_original, ori_shape=ori)
    masks = found.at_stride(stride).in_original_frame(CellSample(metainfo=frame)).masks
    assert len(masks) == len(found)
    return rle.decode(masks, ori)


SHAPE = (40, 60)
LEFT, RIGHT = disk(SHAPE, 20, 20, 11), disk(SHAPE, 20, 40, 11)  # they share columns 29 to 31
NUCLEI = as_map(disk(SHAPE, 20, 20, 3) | disk(SHAPE, 20, 42, 3))


@pytest.mark.parametrize("column", [28, 30, 31])
def test_two_touching_disks_are_cut_at_the_border(column):
    border = np.full(SHAPE, 0.1, np.float32)
    border[:, column] = 0.8
    masks = masks_of(build(), dict(cytoplasm=as_map(LEFT | RIGHT), nuclei=NUCLEI, border=border))
    assert len(masks) == 2 and not (masks[0] & masks[1]).any()
    assert np.array_equal(masks[0] | masks[1], LEFT | RIGHT)
    left = masks[np.argmax(masks[:, 20, 20])]
    assert left[:, :column].sum() == (LEFT | RIGHT)[:, :column].sum()
    assert not left[:, column + 1 :].any()


def test_without_a_border_map_they_part_at_the_neck():
    masks = masks_of(build(), dict(cytoplasm=as_map(LEFT | RIGHT), nuclei=NUCLEI))
    left = masks[np.argmax(masks[:, 20, 20])]
    assert len(masks) == 2 and 29 <= np.flatnonzero(left.any(0)).max() <= 31


@pytest.mark.parametrize("with_border", [False, True])
def test_without_nuclei_a_neck_parts_two_disks(with_border):
    maps = dict(cytoplasm=as_map(LEFT | RIGHT))
    if with_border:
        maps["border"] = np.full(SHAPE, 0.1, np.float32)
        maps["border"][:, 30] = 0.8
    masks = masks_of(build(), maps)
    assert len(masks) == 2 and abs(int(masks[0].sum()) - int(masks[1].sum())) < 40


def bar(length, width):
    mask = np.zeros((width + 20, length + 20), bool)
    mask[10:-10, 10:-10] = True
    return mask


def worm(radius, shape=(120, 200)):
    """All pixels near a bow, as an outline of whole pixels."""
    x = np.linspace(20, 180, 800)
    y = 60 + 30 * np.sin((x - 20) / 160 * 1.5 * np.pi)
    yy, xx = np.indices(shape)
    near = np.zeros(shape, bool)
    for cy, cx in zip(y, x, strict=True):
        near |= (yy - cy) ** 2 + (xx - cx) ** 2 <= radius**2
    return near


def ellipse(a, b, angle):
    yy, xx = np.indices((140, 140)) - 70
    along, across = (
        np.cos(angle) * xx + np.sin(angle) * yy,
        np.cos(angle) * yy - np.sin(angle) * xx,
    )
    return (along / a) ** 2 + (across / b) ** 2 <= 1


LONG = dict(
    bar=bar(100, 10),
    thin_bar=bar(100, 1),
    worm=worm(6),
    thin_worm=worm(1.3),
    ellipse=ellipse(50, 9, 0),
    turned_ellipse=ellipse(50, 9, 0.7),
    thin_ellipse=ellipse(60, 2.5, 0.3),
)


@pytest.mark.parametrize("name", LONG)
@pytest.mark.parametrize("keep", [True, False])
def test_without_nuclei_a_long_cell_is_one(name, keep):
    (mask,) = masks_of(build(keep_unseeded=keep), dict(cytoplasm=as_map(LONG[name])))
    assert np.array_equal(mask, LONG[name])


def test_the_neck_that_parts_by_hand():
    """Two squares of 20 px (15 and 15 px apart) with a bridge of 12 px: 12 / 20 of their width."""
    mask = np.zeros((40, 70), bool)
    mask[10:30, 5:25] = mask[10:30, 40:60] = mask[14:26, 25:40] = True
    maps = dict(cytoplasm=as_map(mask))
    assert len(masks_of(build(neck=0.65), maps)) == 2
    assert len(masks_of(build(neck=0.55), maps)) == 1


def test_cells_that_touch_at_a_corner_are_kept():
    """Two blocks of 5x5, the nucleus in the first: of one component, so of one cell."""
    cytoplasm = np.zeros((12, 12), bool)
    cytoplasm[1:6, 1:6] = cytoplasm[6:11, 6:11] = True
    nuclei = np.zeros((12, 12), bool)
    nuclei[3, 3] = True
    for maps in (dict(nuclei=as_map(nuclei)), dict(nuclei=as_map(nuclei), border=as_map(~cytoplasm)), {}):
        assert np.array_equal(build().regions(dict(cytoplasm=as_map(cytoplasm), **maps)) > 0, cytoplasm)


@pytest.mark.parametrize("others", [(), ("nuclei",), ("border",), ("nuclei", "border")])
def test_every_pixel_of_the_foreground_has_a_cell(others):
    rng = np.random.default_rng(3)
    maps = {name: rng.random((60, 50), dtype=np.float32) for name in ("cytoplasm", *others)}
    assert np.array_equal(build().regions(maps) > 0, maps["cytoplasm"] > 0.5)


def test_seeds_that_are_too_small_or_outside_are_none():
    nuclei = NUCLEI.copy()
    nuclei[20, 30:32] = 0.9  # a third, of two pixels
    nuclei[0, 0] = 0.9  # in the background
    maps = dict(cytoplasm=as_map(LEFT | RIGHT), nuclei=nuclei)
    assert len(masks_of(build(), maps)) == 3
    assert len(masks_of(build(min_seed=3), maps)) == 2


def test_components_without_a_seed_and_small_cells():
    lone = disk(SHAPE, 5, 5, 3)
    maps = dict(cytoplasm=as_map(LEFT | lone), nuclei=as_map(disk(SHAPE, 20, 20, 3)))
    kept = masks_of(build(), maps)
    assert len(kept) == 2 and any(np.array_equal(mask, lone) for mask in kept)
    dropped = masks_of(build(keep_unseeded=False), maps)
    assert len(dropped) == 1 and np.array_equal(dropped[0], LEFT)
    area = int(lone.sum())
    assert len(masks_of(build(min_area=area), maps)) == 2
    assert len(masks_of(build(min_area=area + 1), maps)) == 1


def test_scores_are_mean_probabilities_falling():
    cytoplasm = np.zeros((4, 9), np.float32)
    cytoplasm[1, 1:3] = 0.6, 0.8
    cytoplasm[2, 5:8] = 0.9
    found = build()(dict(cytoplasm=cytoplasm))
    assert found.scores.tolist() == pytest.approx([0.9, 0.7])
    assert found.origins.tolist() == [[1, 4], [0, 0]] and found.labels.tolist() == [0, 0]


@pytest.mark.parametrize("names", [("cytoplasm",), ("cytoplasm", "nuclei", "border")])
@pytest.mark.parametrize("shape", [(1, 1), (7, 13)])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_no_cells_and_nothing_but_a_cell(names, shape, value):
    found = build()({name: np.full(shape, value, np.float32) for name in names})
    assert len(found) == len(found.probs) == int(value) and found.origins.shape == (int(value), 2)


@pytest.mark.parametrize("thr", [0.3, 0.5, 0.7])
def test_windows_become_exactly_the_regions(thr):
    """Noise, with probabilities a last digit above and below the threshold."""
    rng = np.random.default_rng(1)
    maps = {name: rng.random((50, 40), dtype=np.float32) for name in ("cytoplasm", "nuclei", "border")}
    just_above = np.nextafter(np.float32(thr), np.float32(1))
    maps["cytoplasm"][rng.random((50, 40)) < 0.2] = just_above
    maps["cytoplasm"][rng.random((50, 40)) < 0.2] = np.float32(thr)
    for options in (dict(), dict(keep_unseeded=False, min_area=2)):
        post = build(foreground_thr=thr, **options)
        regions = post.regions(maps)
        sizes = np.bincount(regions.ravel())[1:]
        expected = {(regions == i + 1).tobytes() for i in np.flatnonzero(sizes >= post.min_area)}
        assert {mask.tobytes() for mask in masks_of(post, maps)} == expected and len(expected) > 10


def test_enlarged_windows_share_no_pixel_and_leave_no_gap():
    border = np.full(SHAPE, 0.1, np.float32)
    border[:, 30] = 0.8
    cytoplasm = as_map(LEFT | RIGHT, high=0.55)
    for stride, scale in ((2, 1), (1, 2)):
        masks = masks_of(build(), dict(cytoplasm=cytoplasm, nuclei=NUCLEI, border=border), stride, scale)
        assert len(masks) == 2 and not (masks[0] & masks[1]).any()
        between = (masks[0] | masks[1])[30:50, 40:80]  # well inside the two
        assert between.mean() > 0.98


def test_bad_arguments():
    with pytest.raises(ValueError, match="neck must be between 0 and 1, got 1.5"):
        build(neck=1.5)
    with pytest.raises(ValueError, match="border_thr must be between 0 and 1, got 1"):
        build(border_thr=1)


def test_thousands_of_cells_take_no_whole_maps():
    cytoplasm = np.zeros((1000, 1000), np.float32)
    for dy in range(10):
        for dx in range(10):
            cytoplasm[2 + dy :: 14, 2 + dx :: 14] = 0.9
    nuclei = np.zeros_like(cytoplasm)
    nuclei[6::14, 6::14] = 0.9
    found = build()(dict(cytoplasm=cytoplasm, nuclei=nuclei, border=1 - cytoplasm))
    assert len(found) == 72**2 and max(probs.size for probs in found.probs) <= 144


@pytest.mark.parametrize("seed", range(4))
def test_with_a_neck_near_0_cells_are_the_connected_components(seed):
    """As configs/glas has them: bars of one pixel, holes and touching corners part nothing."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).random((80, 90)), seed % 3)
    foreground = noise > np.quantile(noise, 0.6)
    components, num = ndimage.label(foreground, np.ones((3, 3)))
    regions = build(neck=1e-3).regions(dict(cytoplasm=as_map(foreground)))
    assert len(np.unique(regions[foreground])) == num and not regions[~foreground].any()
    assert len(set(zip(regions[foreground], components[foreground], strict=True))) == num
