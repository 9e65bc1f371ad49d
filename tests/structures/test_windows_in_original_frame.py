"""A window gives what the same probabilities in a whole map give, also where it reaches over the map."""

import time
import tracemalloc

import numpy as np
import pytest

from cellmm.structures import masks_in_original_frame, rle


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("matrix", [np.eye(3), np.array([[1.5, 0, -2], [0, 0.7, 3], [0, 0, 1]])])
def test_a_window_gives_what_the_whole_map_gives(stride, matrix):
    rng = np.random.default_rng(stride)
    for _ in range(60):
        height, width, h, w = (int(n) for n in rng.integers(1, 12, 4))
        row, col = int(rng.integers(-h, height + 1)), int(rng.integers(-w, width + 1))
        window = rng.random((h, w), dtype=np.float32)
        room = np.zeros((height + 2 * h, width + 2 * w), np.float32)
        room[row + h : row + 2 * h, col + w : col + 2 * w] = window
        size = (height * stride, width * stride)
        frame = dict(stride=stride, img_shape=size, to_original=matrix, ori_shape=size)
        whole, _ = masks_in_original_frame(room[None, h : h + height, w : w + width], **frame)
        masks, _ = masks_in_original_frame(
            [window], origins=np.array([[row, col]]), grid_shape=(height, width), **frame
        )
        assert masks == whole


def test_a_window_ends_in_nothing_inside_the_map_and_goes_on_at_its_border():
    frame = dict(stride=2, img_shape=(12, 12), to_original=np.eye(3), ori_shape=(12, 12), mask_thr=0.8)
    ones = np.ones((2, 2), np.float32)
    masks, _ = masks_in_original_frame(
        [ones, ones], origins=np.array([[0, 0], [2, 2]]), grid_shape=(6, 6), **frame
    )
    # half a mask pixel inside a border it falls to 0.75; at the border of the map it stays 1
    assert rle.bbox(masks).tolist() == [[0, 0, 3, 3], [5, 5, 2, 2]]


def test_five_thousand_cells_of_a_large_image_take_seconds():
    places = np.random.default_rng(0).integers(0, 2028, (5000, 2))
    start = time.perf_counter()
    masks, kept = masks_in_original_frame(
        [np.ones((20, 20), np.float32)] * 5000,
        stride=2,
        img_shape=(4096, 4096),
        to_original=np.eye(3),
        ori_shape=(4096, 4096),
        origins=places,
        grid_shape=(2048, 2048),
    )
    assert time.perf_counter() - start < 30
    assert len(kept) == 5000 and (rle.area(masks) == 1600).all()


def test_a_mask_costs_its_own_box_and_not_the_height_of_the_image():
    size = (2_000_000, 900)
    windows = [np.ones((6, 8), np.float32)] * 20
    frame = dict(stride=1, img_shape=size, to_original=np.eye(3), ori_shape=size)
    places = np.random.default_rng(0).integers(0, 800, (20, 2)) * (2000, 1)
    tracemalloc.start()
    masks, _ = masks_in_original_frame(windows, origins=places, grid_shape=size, **frame)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()
    assert rle.bbox(masks).tolist() == [[x, y, 8, 6] for y, x in places.tolist()]


def test_columns_that_fill_the_height_are_one_run():
    frame = dict(stride=1, img_shape=(5, 6), to_original=np.eye(3), ori_shape=(5, 6))
    masks, _ = masks_in_original_frame(
        [np.ones((5, 3), np.float32)], origins=np.array([[0, 2]]), grid_shape=(5, 6), **frame
    )
    assert masks == rle.encode(np.pad(np.ones((1, 5, 3), bool), ((0, 0), (0, 0), (2, 1))))
