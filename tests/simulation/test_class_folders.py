"""Stained scenes of cells of four types, and sets of them on disk."""

import numpy as np
import pytest
import tifffile

from cellmm.datasets import ClassFolderDataset, SimulatedClassesDataset
from cellmm.datasets.transforms.loading import LoadCells, LoadImage
from cellmm.errors import CellMMError
from cellmm.simulation import CELL_TYPES, SceneConfig, make_class_folders, simulate_stained_scene

TINY = dict(size=(96, 112), pixel=0.5, cells=(6, 9), min_visible=30, neighbour_share=0.6)
CONFIG = SceneConfig(**TINY)


def scenes(number: int, config: SceneConfig = CONFIG, **options) -> list:
    return [simulate_stained_scene(config, np.random.default_rng(seed), **options) for seed in range(number)]


def test_the_same_generator_gives_the_same_scene():
    scene, same, other = (simulate_stained_scene(CONFIG, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(scene.image, same.image) and np.array_equal(scene.cells.layers, same.cells.layers)
    assert not np.array_equal(scene.image, other.image)


def test_cells_of_a_type_never_overlap_and_others_do():
    overlap = 0
    for scene in scenes(6, absent=0.0, empty=0.0):
        assert scene.image.shape == (96, 112, 3) and scene.image.dtype == np.uint8
        assert 6 <= len(scene.cells) == len(scene.labels) <= 9
        masks = scene.cells.to_masks()
        for label in range(4):
            assert masks[scene.labels == label].sum(0).max(initial=0) <= 1
        overlap += int(scene.cells.overlap().sum())
    assert overlap > 50


def test_types_differ_in_size_shape_and_colour():
    """What a person sees: the large are large, the elongated are long, and no two have the same colour."""
    area, length, color = ([[] for _ in CELL_TYPES] for _ in range(3))
    for scene in scenes(16, absent=0.0, empty=0.0):
        masks, boxes = scene.cells.to_masks(), scene.cells.bboxes()
        alone = masks.sum(0) == 1
        for mask, (x0, y0, x1, y1), label in zip(masks, boxes, scene.labels, strict=True):
            if min(x0, y0) > 0 and x1 < 112 and y1 < 96 and (mask & alone).any():
                area[label].append(mask.sum())
                length[label].append(max(x1 - x0, y1 - y0) ** 2 / mask.sum())
                color[label].append(scene.image[mask & alone].mean(0))
    area, length, color = ([np.mean(some, axis=0) for some in kind] for kind in (area, length, color))
    assert np.argsort(area)[-1] == 3 and np.argmin(area) == 0 and np.argmax(length) == 1
    far = [np.abs(a - b).max() for i, a in enumerate(color) for b in color[:i]]
    assert min(far) > 10


def test_types_are_absent_and_images_empty_as_often_as_asked():
    small = SceneConfig(size=(40, 40), pixel=1.0, cells=(3, 3), min_visible=10)
    made = scenes(40, small, absent=0.5, empty=0.2)
    present = np.array([np.bincount(scene.labels, minlength=4) > 0 for scene in made])
    assert 0.1 <= present.mean() <= 0.45
    assert 0.1 <= (~present.any(1)).mean() <= 0.5
    empty = scenes(1, empty=1.0)[0]
    assert len(empty.cells) == 0 and empty.labels.shape == (0,) and empty.image.std() > 0


def test_what_is_written_is_read_back(tmp_path):
    make_class_folders(tmp_path / "set", splits=dict(train=4, val=1), scene=TINY, seed=3, workers=2)
    dataset = ClassFolderDataset(
        data_root=tmp_path / "set/train", allow_empty=True, pipeline=[LoadImage(), LoadCells()]
    )
    overlap = 0
    for i in range(4):
        scene = simulate_stained_scene(CONFIG, np.random.default_rng([3, *b"train", i]))
        found = dataset[i]
        order = np.argsort(scene.labels, kind="stable")
        assert np.array_equal(found["img"].astype(np.uint8), scene.image)
        assert found["gt_labels"].tolist() == scene.labels[order].tolist()
        assert np.array_equal(found["gt_layers"].to_masks(), scene.cells.to_masks()[order])
        files = {path.name for path in (tmp_path / f"set/train/{i + 1:04d}").iterdir()}
        assert files == {"image.tif", *(f"class{label + 1}.tif" for label in set(scene.labels.tolist()))}
        overlap += int(found["gt_layers"].overlap().sum())
    assert overlap > 0


def test_a_set_is_written_whole_or_not_at_all(tmp_path):
    full = dict(TINY, cells=(2, 2), min_visible=10**6)
    with pytest.raises(CellMMError, match="found room"):
        make_class_folders(tmp_path / "set", splits=dict(train=2), scene=full, empty=0)
    assert not list(tmp_path.iterdir())
    make_class_folders(tmp_path / "set", splits=dict(train=1), scene=TINY)
    with pytest.raises(CellMMError, match="exists"):
        make_class_folders(tmp_path / "set", splits=dict(train=1), scene=TINY)


def test_a_missing_set_is_simulated_once(tmp_path):
    root = tmp_path / "set"
    options = dict(data_root=root, simulation=dict(folder=root, splits=dict(train=2, val=1), scene=TINY))
    dataset = SimulatedClassesDataset(**options, split="train", allow_empty=True)
    assert len(dataset) == 2 and dataset.metainfo["classes"] == ("round", "elongated", "textured", "large")
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*.tif")}
    assert len(SimulatedClassesDataset(**options, split="val", allow_empty=True)) == 1
    assert before == {path: path.stat().st_mtime_ns for path in root.rglob("*.tif")}
    assert tifffile.imread(next(iter(root.rglob("class*.tif")))).dtype == np.uint16
    with pytest.raises(CellMMError, match="has no test: put your annotated images there"):
        SimulatedClassesDataset(**options, split="test")
    with pytest.raises(CellMMError, match="only .* is simulated"):
        SimulatedClassesDataset(data_root=tmp_path / "se", split="val", simulation=options["simulation"])
