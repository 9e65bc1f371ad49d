"""Windows of a map stand for the map: the same boxes, places and masks in the file."""

import numpy as np
import pytest
import torch

from cellmm.structures import CellSample, PredictedInstances, masks_in_original_frame, rle

SHAPE = (20, 28)  # of the map


def maps(seed, num=6):
    """Smooth blobs, some of them at the border of the map, and the windows that hold all but zeros."""
    rng = np.random.default_rng(seed)
    full = np.zeros((num, *SHAPE), np.float32)
    windows, origins = [], []
    for image in full:
        h, w = rng.integers(1, 9, 2)
        y, x = rng.integers(0, SHAPE[0] - h + 1), rng.integers(0, SHAPE[1] - w + 1)
        image[y : y + h, x : x + w] = rng.random((h, w))
        windows.append(image[y : y + h, x : x + w].copy())
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


def instances(probs, **more):
    count = len(probs)
    return PredictedInstances(
        probs, torch.linspace(1, 0.5, count), torch.zeros(count, dtype=torch.long), **more
    )


def test_boxes_points_and_tiles_by_hand():
    probs = torch.zeros(2, 10, 10)
    probs[0, 2:4, 5:8] = 1
    whole = instances(probs, stride=2)
    assert whole.grid_shape == (10, 10) and whole.points is None
    assert whole.boxes().tolist() == [[4, 10, 8, 16], [0, 0, 0, 0]]
    assert whole.places().tolist() == [[5.5, 12.5], [0, 0]]  # rows 4 to 7, columns 10 to 15; no pixel: 0
    windows = instances(
        [torch.ones(2, 3)],
        origins=torch.tensor([[2, 5]]),
        points=torch.tensor([[7.0, 9.0]]),
        stride=2,
        grid_shape=(10, 10),
    )
    assert windows.boxes().tolist() == [[4, 10, 8, 16]] and windows.places().tolist() == [[7, 9]]
    moved = windows.in_tile(32, 6, (64, 40))
    assert moved.boxes().tolist() == [[36, 16, 40, 22]] and moved.points.tolist() == [[39, 15]]
    assert moved.grid_shape == (32, 20) and len(moved.select([])) == 0


def test_what_is_found_in_maps_lies_in_pixels_of_the_input():
    found = instances([torch.ones(2, 3)], origins=[[2, 5]], points=[[2.5, 6.0]], grid_shape=(10, 10))
    found = found.at_stride(2)
    assert found.boxes().tolist() == [[4, 10, 8, 16]] and found.points.tolist() == [[5.5, 12.5]]


def test_some_by_number_and_by_truth():
    found = instances(torch.rand(3, 4, 5), points=torch.arange(6.0).reshape(3, 2))
    for index in ([2, 0], np.array([2, 0])):
        some = found.select(index)
        assert some.scores.tolist() == [0.5, 1] and some.points.tolist() == [[4, 5], [0, 1]]
    assert found.select([True, False, True]).scores.tolist() == [1, 0.5]


def test_places_outside_of_the_image_and_mirrored_ones_are_no_cells():
    """The head of DiskMask finds a mirrored cell too; only heads that give points are asked."""
    points = np.array([[3, 3], [3, 5.6], [6, 3], [-1, 0]])
    sample = CellSample(metainfo=dict(img_shape=(6, 6)))

    def places(ignore=None):
        if ignore is not None:
            sample.ignore = ignore
        windows = [np.ones((2, 2), np.float32)] * 4
        found = instances(windows, origins=np.zeros((4, 2)), grid_shape=(8, 8), points=points)
        return found.on_image(sample).points.tolist()

    assert places() == [[3, 3]]
    points[1] = 3, 5.4
    assert places() == [[3, 3], [3, 5.4]]
    ignore = torch.zeros(6, 6, dtype=torch.bool)
    ignore[:, 5] = True
    assert places(ignore) == [[3, 3]]
    assert len(instances(torch.rand(4, 6, 6)).on_image(sample)) == 4


def test_masks_without_a_pixel_are_left_out_in_the_file():
    probs = torch.zeros(3, 4, 4)
    probs[0, 1, 1] = probs[2, 2:, 2:] = 0.8
    frame = dict(img_shape=(4, 4), ori_shape=(4, 4), to_original=np.eye(3))
    found = instances(probs).in_original_frame(CellSample(metainfo=frame))
    assert found.scores.tolist() == [1, 0.5] and rle.area(found.masks).tolist() == [1, 4]


def test_nothing_found():
    nothing = dict(scores=torch.zeros(0), labels=torch.zeros(0, dtype=torch.long))
    sample = CellSample(metainfo=dict(img_shape=(4, 4), ori_shape=(4, 4), to_original=np.eye(3)))
    for probs, grid in (([], (0, 0)), (torch.zeros(0, 4, 4), (4, 4))):
        found = PredictedInstances(probs, **nothing)
        assert len(found) == 0 and found.grid_shape == grid
        assert found.boxes().shape == (0, 4) and found.places().shape == (0, 2)
        assert len(found.in_tile(0, 0, (4, 4)).select([]).in_original_frame(sample)) == 0
    assert PredictedInstances([], grid_shape=(5, 6), origins=[], **nothing).grid_shape == (5, 6)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (dict(origins=[[0, 0], [1, 1]]), "grid_shape"),
        (dict(origins=[[0, 0]], grid_shape=(4, 4)), "2 masks, but 1 origins"),
        (dict(points=[[0, 0]]), "2 masks, but 1 points"),
    ],
)
def test_fields_that_do_not_fit_are_named(more, says):
    with pytest.raises(ValueError, match=says):
        instances(torch.rand(2, 3, 3), **more)


def test_joined():
    one = PredictedInstances(torch.ones(1, 4, 4), torch.tensor([0.5]), torch.tensor([0]), points=[[1, 1]])
    both = one.joined(
        PredictedInstances([], torch.zeros(0), torch.zeros(0), grid_shape=(4, 4), points=np.zeros((0, 2)))
    )
    assert len(both) == 1
    twice = one.joined(one)
    assert twice.scores.tolist() == [0.5, 0.5] and twice.points.tolist() == [[1, 1], [1, 1]]
    with pytest.raises(ValueError, match="other maps"):
        one.joined(PredictedInstances(torch.ones(1, 4, 5), torch.ones(1), torch.zeros(1), points=[[1, 1]]))
