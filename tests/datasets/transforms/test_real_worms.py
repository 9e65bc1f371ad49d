"""DiskMask's targets on real worms: each has its own disk, also where worms cross."""

import numpy as np
import pytest

from cellmm.config.load import load_config
from cellmm.registry import DATASETS

CONFIG = "configs/diskmask/bbbc010_cpu.py"


@pytest.fixture(scope="module")
def wells(real_data):
    root = real_data("bbbc010")
    dataset = load_config(CONFIG).train_dataloader.dataset
    dataset.update(data_root=str(root), indices=list(range(10)))
    dataset.pipeline = [
        step for step in dataset.pipeline if step.type not in ("RandomWarp", "RandomIntensity")
    ]
    return [sample["data_samples"] for sample in DATASETS.build(dataset)]


def test_every_whole_worm_has_a_disk_on_itself(wells):
    num_cut = num = 0
    for sample in wells:
        layers, disks = sample.gt_layers.numpy(), sample.gt_disks.numpy()
        masks = sample.gt_masks(stride=2).numpy() > 0
        edge = np.concatenate([layers[:, 0], layers[:, -1], layers[..., 0], layers[..., -1]], axis=1)
        cut = np.isin(np.arange(len(masks)) + 1, edge)
        assert np.array_equal(np.isnan(sample.gt_points[:, 0].numpy()), cut)
        assert np.array_equal(np.isin(np.arange(len(masks)) + 1, disks), ~cut)
        for i in np.flatnonzero(~cut):
            y, x = ((sample.gt_points[i] + 0.5) / 2).long().tolist()
            assert disks[y, x] == i + 1 and masks[i, y - 1 : y + 2, x - 1 : x + 2].any()
        num, num_cut = num + len(masks), num_cut + int(cut.sum())
    assert num_cut < 0.05 * num


def test_points_of_worms_that_cross_are_moved_apart(wells):
    """The medial points stay apart by the 12 pixels of the config, or nearly so."""
    nearest = []
    for sample in wells:
        points = sample.gt_points.numpy()
        points = points[~np.isnan(points).any(1)]
        away = np.linalg.norm(points[:, None] - points, axis=2)
        np.fill_diagonal(away, np.inf)
        nearest.append(away.min())
    assert min(nearest) > 10 and np.median(nearest) >= 12
