import colorsys

import numpy as np

from cellmm.visualization import cell_colors, colors


def hue(color):
    return colorsys.rgb_to_hsv(*(color / 255))[0]


def far_boxes(num):
    x = 100 * np.arange(num)
    return np.stack([x, x, x + 10, x + 10], axis=1)


def test_no_cells():
    assert cell_colors(np.zeros((0, 4))).shape == (0, 3)


def test_same_on_every_run_and_bright():
    boxes = far_boxes(40)
    found = cell_colors(boxes)
    assert found.dtype == np.uint8 and found.shape == (40, 3)
    assert np.array_equal(found, cell_colors(boxes.copy()))
    assert found.max(1).min() > 150
    assert len(np.unique(found, axis=0)) == 40


def test_neighbours_differ_also_where_the_golden_ratio_repeats():
    # Number 34 (a Fibonacci number) would get the hue of number 0.
    boxes = far_boxes(35)
    alone = cell_colors(boxes)
    assert np.abs(alone[34].astype(int) - alone[0]).max() < 30
    boxes[34] = boxes[0]
    found = cell_colors(boxes)
    assert np.array_equal(found[:34], alone[:34])
    apart = abs(hue(found[34]) - hue(found[0]))
    assert min(apart, 1 - apart) > 0.1


def test_a_crowd_on_one_spot_has_different_colours():
    found = cell_colors(np.tile([0, 0, 9, 9], (8, 1))).astype(int)
    distance = np.abs(found[:, None] - found).max(2) + 255 * np.eye(8, dtype=int)
    assert distance.min() > 20


def test_colours_of_a_large_image_compare_few_boxes(monkeypatch):
    """Cells that are far away are not looked at, and do not matter."""
    rng = np.random.default_rng(0)
    start = rng.integers(0, 20_000, (4000, 2))
    boxes = np.concatenate([start, start + rng.integers(0, 90, (4000, 2))], axis=1)
    boxes[7] = 0, 0, 20_000, 300  # a long one
    compared = []
    inner = colors._touching

    def counted(box, others):
        compared.append(len(others))
        return inner(box, others)

    monkeypatch.setattr(colors, "_touching", counted)
    found = cell_colors(boxes)
    assert sum(compared) < 100 * len(boxes)
    monkeypatch.setattr(colors, "BLOCK", 10**6)  # every box is compared with every other
    assert np.array_equal(cell_colors(boxes), found)
