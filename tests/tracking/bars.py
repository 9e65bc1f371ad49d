"""Films by hand for the tests of tracking."""

from collections.abc import Sequence

import numpy as np

from cellmm.results import Instances
from cellmm.structures import MaskRuns

SHAPE = (40, 60)


def cells(
    boxes: Sequence[tuple[int, int, int, int]], name: str = "", scores: Sequence[float] = ()
) -> Instances:
    """Rectangles (top, left, height, width) of an image of SHAPE."""
    masks = MaskRuns.from_crops(
        [np.ones((height, width), bool) for _, _, height, width in boxes],
        [(top, left) for top, left, _, _ in boxes],
        SHAPE,
    )
    scores = np.array(scores or np.ones(len(boxes)), dtype=np.float32)
    return Instances(masks, scores, np.zeros(len(boxes), np.int64), name=name)


def crossing_bars(num_frames: int = 9) -> list[Instances]:
    """Two bars of equal shape on one line, which pass through each other.

    In frame 4 they share all columns but one. The first moves right and the second left, by 4
    pixels per frame. Odd frames list them in reverse.
    """
    frames = []
    for t in range(num_frames):
        boxes = [(10, 8 + 4 * t, 6, 9), (10, 41 - 4 * t, 6, 9)]
        frames.append(cells(boxes[:: -1 if t % 2 else 1], name=f"bars_t{t:04d}.tif"))
    return frames


def dividing_cell() -> list[Instances]:
    """A cell that stands in frames 0 to 2 and is two halves, which move apart, in frames 3 to 5."""
    whole = [cells([(10, 20, 12, 16)])] * 3
    return whole + [cells([(10, 19 - 2 * t, 12, 8), (10, 29 + 2 * t, 12, 8)]) for t in range(3)]
