"""Cells of another size than in training, scaled by the diameter that the user gives."""

import numpy as np
import pytest
import torch

from cellmm.engine.cell_size import median_diameter, rescale_to_diameter
from cellmm.engine.trained_on import TrainedOn
from cellmm.errors import CellMMError
from cellmm.registry import TRANSFORMS
from cellmm.structures import CellSample

SEEN = TrainedOn((256, 256), (0.5, 0.5), diameter=20.0)
NORMALIZE = dict(type="Normalize")


def test_the_diameter_is_that_of_the_median_cell():
    layers = torch.zeros(2, 30, 30, dtype=torch.int32)
    layers[0, :2, :2], layers[0, 10:14, :4], layers[1, 8:20, 2:14] = 1, 2, 3
    for samples, area in (([layers], 16), ([layers[:1]], 10), ([layers[1:], layers[1:]], 144)):
        packed = [CellSample(gt_layers=part) for part in samples]
        assert median_diameter(packed) == pytest.approx(np.sqrt(4 * area / np.pi))
    assert median_diameter([CellSample(), CellSample(gt_layers=torch.zeros(0, 5, 5))]) is None
    assert median_diameter([]) is None


@pytest.mark.parametrize(
    ("sizing", "names"),
    [
        ([], "no step"),
        ([dict(type="Rescale", factor=0.5)], "Rescale"),
        ([dict(type="ResizeTo", size=(30, 40))], "ResizeTo"),
        ([dict(type="RescaleToPixelSize", pixel_size=0.5), dict(type="Resize", scale=(9, 9))], ""),
    ],
)
@pytest.mark.parametrize("before", [[], [NORMALIZE]])
def test_cells_reach_the_network_as_large_as_in_training(sizing, names, before):
    steps = [TRANSFORMS.build(step) for step in (*before, *sizing, dict(type="PadTo", divisor=16))]
    changed, line = rescale_to_diameter(steps, SEEN, 40.0)
    assert [type(step).__name__ for step in changed if step not in steps] == ["Rescale"]
    assert [step for step in changed if step in steps] == [
        step for step in steps if type(step).__name__ in ("Normalize", "PadTo")
    ]
    results = dict(img_path="a.tif", img=np.random.rand(48, 64, 1).astype(np.float32), pixel_size=None)
    for step in changed:
        results = step(results)
    assert results["img"].shape == (32, 32, 1), "half of 48 x 64, padded"
    names = names or "RescaleToPixelSize, Resize"
    assert line == (
        "diameter 40: cells of training are 20 px across where they reach the network, so images are scaled "
        f"by 0.5; this replaces {names} of the config"
    )


def test_what_cannot_be_scaled_is_one_line():
    for seen in (None, TrainedOn((1, 2), (1.0, 1.0))):
        with pytest.raises(CellMMError, match="^diameter is 40, but the checkpoint does not state"):
            rescale_to_diameter([], seen, 40)
    with pytest.raises(CellMMError, match="^diameter is 0: give the pixels"):
        rescale_to_diameter([], SEEN, 0)
