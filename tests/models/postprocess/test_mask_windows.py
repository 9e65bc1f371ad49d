"""Windows of a map stand for the map: the same boxes, places and masks in the file."""

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData

from cellmm.models.postprocess.mask_windows import MaskWindows
from cellmm.models.postprocess.original_frame import masks_in_original_frame

SHAPE = (20, 28)  # of the map


def maps(seed, num=6):
    """Smooth blobs, some of them at the border of the map, and the windows that hold all but zeros."""
    rng = np.random.default_rng(seed)
    full = np.zeros((num, *SHAPE), np.float32)
    windows, origins = [], []
    for one in full:
        h, w = rng.integers(1, 9, 2)
        y, x = rng.integers(0, SHAPE[0] - h + 1), rng.integers(0, SHAPE[1] - w + 1)
        one[y : y + h, x : x + w] = rng.random((h, w))
        windows.append(one[y : y + h, x : x + w].copy())
        origins.append((y, x))
    return full, windows, np.array(origins)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_windows_give_the_masks_of_whole_maps(seed, stride):
    full, windows, origins = maps(seed)
    size = (SHAPE[0] * stride, SHAPE[1] * stride)
    turn = np.array([[0.9, 0.1, 3], [-0.1, 1.2, 2], [0, 0, 1]])
    frame = dict(stride=stride, img_shape=(size[0] - 1, size[1]), to_original=turn, ori_shape=(90, 110))
    masks, kept = masks_in_original_frame(full, **frame)
    same, as_kept = masks_in_original_frame(windows, **frame, origins=origins, grid_shape=SHAPE)
    assert masks == same and np.array_equal(kept, as_kept)


def test_windows_that_reach_over_the_map_are_cut_off():
    full = np.zeros((1, *SHAPE), np.float32)
    full[0, :3, :2] = 1
    frame = dict(stride=1, img_shape=SHAPE, to_original=np.eye(3), ori_shape=SHAPE)
    over = masks_in_original_frame(
        [np.ones((5, 4), np.float32)], **frame, origins=np.array([[-2, -2]]), grid_shape=SHAPE
    )
    assert over[0] == masks_in_original_frame(full, **frame)[0]


def test_boxes_points_and_tiles_by_hand():
    probs = torch.zeros(2, 10, 10)
    probs[0, 2:4, 5:8] = 1
    whole = MaskWindows.of(InstanceData(mask_probs=probs), (20, 20), 2)
    assert whole.stride == 2 and whole.grid_shape == (10, 10)
    assert whole.boxes(0.5).tolist() == [[4, 10, 8, 16], [0, 0, 0, 0]]
    assert whole.points is None
    assert whole.places(0.5).tolist() == [[5.5, 12.5], [0, 0]]  # rows 4 to 7, columns 10 to 15; no pixel: 0
    windows = MaskWindows.of(
        InstanceData(
            mask_probs=[torch.ones(2, 3)],
            mask_origins=torch.tensor([[2, 5]]),
            points=torch.tensor([[7.0, 9.0]]),
        ),
        (20, 20),
        2,
    )
    assert windows.boxes(0.5).tolist() == [[4, 10, 8, 16]] and windows.places(0.5).tolist() == [[7, 9]]
    moved = windows.in_tile(32, 6, (64, 40))
    assert moved.boxes(0.5).tolist() == [[36, 16, 40, 22]] and moved.points.tolist() == [[39, 15]]
    assert moved.grid_shape == (32, 20) and len(moved.select([]).probs) == 0
