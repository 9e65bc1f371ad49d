"""Maps of tiles become one."""

import numpy as np

from cellmm.models.postprocess import MapAverage


def test_by_hand():
    average = MapAverage((2, 4))
    average.add(np.full((2, 3), 0.25, np.float32), 0, 0)
    average.add(np.full((1, 2), 0.75, np.float32), 1, 2)
    mean = average.mean()
    assert mean.tolist() == [[0.25, 0.25, 0.25, 0], [0.25, 0.25, 0.5, 0.75]]
    assert mean.dtype == np.float32
