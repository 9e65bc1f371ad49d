import colorsys

import numpy as np

from cellmm.visualization import cell_colors


def hue(color):
    return colorsys.rgb_to_hsv(*(color / 255))[0]


def far_boxes(num):
    x = 100 * np.arange(num)
    return np.stack([x, x, x + 10, x + 10], axis=1)


def test_no_cells():
    assert cell_colors(np.zeros((0, 4))).shape == (0, 3)


def test_same_on_every_run_and_bright():
    boxes = far_boxes(40)
    colors = cell_colors(boxes)
    assert colors.dtype == np.uint8 and colors.shape == (40, 3)
    assert np.array_equal(colors, cell_colors(boxes.copy()))
    assert colors.max(1).min() > 150
    assert len(np.unique(colors, axis=0)) == 40


def test_neighbours_differ_also_where_the_golden_ratio_repeats():
    # Number 34 (a Fibonacci number) would get the hue of number 0.
    boxes = far_boxes(35)
    alone = cell_colors(boxes)
    assert np.abs(alone[34].astype(int) - alone[0]).max() < 30
    boxes[34] = boxes[0]
    colors = cell_colors(boxes)
    assert np.array_equal(colors[:34], alone[:34])
    apart = abs(hue(colors[34]) - hue(colors[0]))
    assert min(apart, 1 - apart) > 0.1


def test_a_crowd_on_one_spot_has_different_colours():
    colors = cell_colors(np.tile([0, 0, 9, 9], (8, 1))).astype(int)
    distance = np.abs(colors[:, None] - colors).max(2) + 255 * np.eye(8, dtype=int)
    assert distance.min() > 20
