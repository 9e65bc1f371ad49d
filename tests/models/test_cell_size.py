"""DiameterFinder, with a stand-in network that knows disks of 20 pixels."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from cellmm.apis.inferencer import CellInferencer
from cellmm.evaluation.functional import overlapping_pairs
from cellmm.models import cell_size
from cellmm.models.cell_size import DiameterFinder, middle, scale_to_diameter
from cellmm.registry import TASK_UTILS
from cellmm.structures import CellSample, PredictedInstances
from tests.fuzz.exact_model import write_exact_model


def disks(diameter, shape=(300, 400)):
    """Disks in rows, bright on dark, (1, 1, H, W)."""
    step = int(1.6 * diameter) + 2
    y, x = np.mgrid[: shape[0], : shape[1]]
    dy, dx = (axis % step - step // 2 for axis in (y, x))
    whole = (y // step < shape[0] // step) & (x // step < shape[1] // step)
    return torch.from_numpy(((dy**2 + dx**2 <= (diameter / 2) ** 2) & whole).astype(np.float32))[None, None]


class Network:
    """Finds disks from half to twice the size that it knows, and remembers what it was shown."""

    def __init__(self, reach=2.0):
        self.shapes, self.reach = [], reach

    def __call__(self, part):
        self.shapes.append(tuple(part.shape[-2:]))
        labels, num = ndimage.label(part[0, 0].numpy() > 0.5)
        masks = np.stack([labels == i + 1 for i in range(num)]) if num else np.zeros((0, *labels.shape))
        across = 2 * np.sqrt(masks.reshape(num, -1).sum(1) / np.pi) if num else np.zeros(0)
        known = (across > 20 / self.reach) & (across < 20 * self.reach)
        return PredictedInstances(
            torch.from_numpy(masks[known].astype(np.float32)),
            torch.full((int(known.sum()),), 0.9),
            torch.zeros(int(known.sum()), dtype=torch.long),
        )


@pytest.mark.parametrize("diameter", [6, 9, 14, 20, 31, 55, 80])
def test_finds_sizes_far_from_that_of_training(diameter):
    network = Network()
    found = DiameterFinder(20).find(disks(diameter, (400, 600)), network)
    assert found == pytest.approx(diameter, rel=0.12)
    assert len(network.shapes) <= 5 and max(max(shape) for shape in network.shapes) <= 385


def test_a_size_that_fits_is_told_by_a_single_look():
    network = Network()
    DiameterFinder(20).find(disks(20), network)
    assert network.shapes == [(300, 384)]


def test_no_cell_and_few_cells():
    finder = DiameterFinder(20)
    assert finder.find(torch.zeros(1, 1, 90, 80), Network()) is None
    alone = torch.zeros(1, 1, 90, 80)
    alone[..., :30, :30] = disks(18, (30, 30))
    assert finder.find(alone, Network()) == pytest.approx(18, rel=0.1)
    assert finder.find(disks(20)[..., :1, :1], Network()) is None  # one pixel


def test_doubtful_cells_do_not_count():
    assert (
        TASK_UTILS.build(dict(type="DiameterFinder", diameter=20, score_thr=0.95)).find(disks(20), Network())
        is None
    )


def test_wrong_values():
    with pytest.raises(ValueError, match="give pixels above 0"):
        DiameterFinder(0)
    with pytest.raises(ValueError, match="max_scale is 0.5; give 1 or more"):
        DiameterFinder(20, max_scale=0.5)


def test_the_middle():
    assert middle((100, 50), (60, 60)) == (20, 0, 80, 50)


def test_the_scaled_image_knows_the_way_back():
    sample = CellSample(metainfo=dict(img_shape=(30, 40), to_original=np.eye(3)))
    image = scale_to_diameter(torch.rand(2, 30, 40), sample, 10.0, 20.0)
    assert image.shape == (2, 60, 80) and sample.img_shape == (60, 80) and sample.cell_diameter == 10
    np.testing.assert_allclose(sample.to_original @ [79.5, 59.5, 1], [39.5, 29.5, 1])


STEPS = "*[dict(type='Normalize', mode='divide', divisor=100), dict(type='RescaleToDiameter', diameter=10)]"
FINDER = dict(type="DiameterFinder", diameter=10, side=128)


@pytest.fixture
def inferencer(tmp_path):
    """Of a model that finds bright spots; ``cell_size`` is its own."""

    def build(tile=None, **more):
        config, weights = write_exact_model(tmp_path, STEPS)
        options = {"model.cell_size": FINDER, "model.tile": tile, "model.tile_overlap": 32 if tile else 0}
        return CellInferencer(config, weights, "cpu", options, **more)

    return build


def test_an_image_is_predicted_as_if_its_size_had_been_given(inferencer):
    image = (disks(20, (200, 300))[0, 0] * 90).numpy()
    found, given = inferencer().predict(image), inferencer(diameter=20).predict(image)
    assert len(found) == len(given) > 20
    assert np.abs(found.masks.areas() - np.pi * 100).max() < 30  # and not those of the scaled image


def test_a_large_image_is_measured_once_and_cut(inferencer, monkeypatch):
    image = (disks(21, (700, 900))[0, 0] * 90).numpy()
    tiled = inferencer(128)
    looks = []
    find = type(tiled.model).find_diameter
    monkeypatch.setattr(
        type(tiled.model), "find_diameter", lambda *args: looks.append(args[1].shape) or find(*args)
    )
    plan = tiled.large.plan(tiled.open(image)[0])
    assert plan.cell_diameter == pytest.approx(21, rel=0.1) and len(plan.grid) > 4
    assert type(plan).from_dict(plan.to_dict()) == plan
    found = tiled.predict(image)
    assert looks == [(1, 512, 512)] * 2
    whole = inferencer().predict(image)
    pairs = overlapping_pairs(found.masks.to_rles(), whole.masks.to_rles())
    assert len(found) == len(whole) == np.count_nonzero(pairs.iou > 0.8) > 100


def test_no_cell_is_a_warning(inferencer, monkeypatch):
    logged = []
    monkeypatch.setattr(cell_size, "print_log", lambda text, **_: logged.append(text))
    assert len(inferencer().predict(np.zeros((64, 64), np.float32))) == 0
    (line,) = logged
    assert line.startswith("array: no cell by which to tell how large its cells are, so it is predicted")
    assert line.endswith("as if they were 10 pixels across; give --diameter")


def test_specks_do_not_make_an_image_many_times_larger(monkeypatch):
    logged = []
    monkeypatch.setattr(cell_size, "print_log", lambda text, **_: logged.append(text))
    finder = DiameterFinder(20, max_scale=4)
    assert finder.known(1.5, "a.tif") == 5
    assert finder.known(5.1, "b.tif") == 5.1
    (line,) = logged
    assert line == (
        "a.tif: its cells seem to be 1.5 pixels across, too small to be found, so it is predicted as if they "
        "were 5 pixels across; give --diameter"
    )
