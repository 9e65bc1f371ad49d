"""Real images above those that were made of others."""

import numpy as np
import pytest
import torch

from cellmm.structures import CellSample
from cellmm.visualization.translations import draw_translations


def sample(real, made, name="a/1.tif"):
    found = CellSample(metainfo=dict(img_path=[name, "b/1.tif"]))
    found.gt_image, found.pred_image = real, made
    return found


def test_a_column_each_with_the_contrast_of_the_real_image():
    ramp = torch.linspace(-1, 1, 200).expand(2, 50, 200)
    picture = draw_translations([sample(ramp, torch.zeros(2, 50, 200)), sample(ramp, ramp * 0 - 5)])
    assert picture.shape == (22 + 22 + 100, 200 + 6 + 200, 3)
    real, made, dark = picture[44:94, :200, 0], picture[94:, :200, 0], picture[94:, 206:, 0]
    assert real[0, 0] == 0 and real[0, -1] == 255 and (np.diff(real[0].astype(int)) >= 0).all()
    assert abs(int(made[0, 0]) - 128) <= 1 and made.std() == 0  # grey as in the middle of the ramp
    assert (dark == 0).all()


def test_nothing_to_draw():
    with pytest.raises(ValueError, match="at least 1"):
        draw_translations([])
