"""Scenes are reproducible and annotated; sets are written whole or not at all, and read back."""

import fcntl
import json
import logging
import os
import subprocess
import sys

import numpy as np
import pytest
import tifffile

from cellmm.datasets import SimulatedDataset
from cellmm.datasets.simulated import simulate_once
from cellmm.errors import CellMMError
from cellmm.io.layered_tiff import read_label_layers
from cellmm.simulation import SceneConfig, dataset, make_dataset, simulate_scene
from cellmm.structures import rle

TINY = SceneConfig(size=(96, 128), pixel=0.5, cells=(5, 8), min_visible=30, neighbour_share=0.6)


def test_the_same_generator_gives_the_same_scene():
    scene, same, other = (simulate_scene(TINY, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(scene.brightfield, same.brightfield) and np.array_equal(scene.phase, same.phase)
    assert np.array_equal(scene.cells.layers, same.cells.layers)
    assert not np.array_equal(scene.brightfield, other.brightfield)


def test_what_a_scene_holds():
    overlapping = 0
    for seed in range(4):
        scene = simulate_scene(TINY, np.random.default_rng(seed))
        assert scene.brightfield.shape == (2, 96, 128) and scene.brightfield.dtype == np.uint16
        assert scene.phase.shape == scene.fluorescence.shape == scene.cells.shape == (96, 128)
        assert 1 <= len(scene.cells) == len(scene.nuclei) <= 8
        cells, nuclei = scene.cells.to_masks(), scene.nuclei.to_masks()
        assert (cells.sum((1, 2)) >= TINY.min_visible).all()
        assert (nuclei <= cells).all()
        shared = cells & (cells.sum(0) > 1)
        whole = ~(cells[:, [0, -1]].any((1, 2)) | cells[:, :, [0, -1]].any((1, 2)))
        assert (shared[whole].sum((1, 2)) <= TINY.max_overlap * cells[whole].sum((1, 2))).all()
        overlapping += int(shared.any((1, 2)).sum())
        inside = scene.fluorescence[nuclei.any(0)].mean() if nuclei.any() else np.inf
        assert inside > scene.fluorescence[~cells.any(0)].mean()
    assert overlapping >= 4


def test_no_cells_is_an_empty_field():
    scene = simulate_scene(SceneConfig(size=(32, 40), cells=(0, 0)), np.random.default_rng(0))
    assert len(scene.cells) == 0 and scene.brightfield.std() > 0


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("sets") / "tiny"
    make_dataset(root, splits=dict(train=2, test=1), scene=TINY, seed=3, extra_modalities=True)
    return root


def test_counts_agree_between_json_layers_and_request(made):
    for split, number in (("train", 2), ("test", 1)):
        content = json.loads((made / split / "annotations.json").read_text())
        assert len(content["images"]) == number
        for image in content["images"]:
            own = [a for a in content["annotations"] if a["image_id"] == image["id"]]
            layers = read_label_layers(made / split / "layers" / image["file_name"])
            assert (
                rle.decode([a["segmentation"] for a in own], (96, 128)).tolist() == layers.to_masks().tolist()
            )
            assert [a["area"] for a in own] == layers.areas().tolist()
            assert tifffile.imread(made / split / "images" / image["file_name"]).shape == (2, 96, 128)
            for extra in ("phase", "fluorescence", "nuclei"):
                assert (made / split / extra / image["file_name"]).is_file()
    assert min(a["id"] for a in content["annotations"]) == 1


def test_an_image_depends_on_seed_split_and_number_alone(made, tmp_path):
    make_dataset(tmp_path / "more", splits=dict(test=2, train=1), scene=TINY, seed=3)
    for split in ("train", "test"):
        name = f"{split}/images/0001.tif"
        assert (made / name).read_bytes() == (tmp_path / "more" / name).read_bytes()
    assert (made / "train/images/0001.tif").read_bytes() != (made / "test/images/0001.tif").read_bytes()


def test_workers_change_nothing_and_the_json_tells_seed_and_scene(made, tmp_path):
    scene = dict(size=(96, 128), pixel=0.5, cells=(5, 8), min_visible=30, neighbour_share=0.6)
    make_dataset(tmp_path / "set", splits=dict(train=2), scene=scene, seed=3, workers=3)
    for name in ("annotations.json", "images/0001.tif", "images/0002.tif", "layers/0002.tif"):
        assert (made / "train" / name).read_bytes() == (tmp_path / "set/train" / name).read_bytes()
    info = json.loads((made / "train/annotations.json").read_text())["info"]
    assert info["seed"] == 3 and info["scene"]["cells"] == [5, 8] and info["split"] == "train"


def test_scenes_that_cannot_be_are_refused(tmp_path):
    for wrong, said in (
        (dict(cell=(1, 2)), "scene: .*cell"),
        (dict(cells=(5, 2)), "cells is a range"),
        (dict(size=64), "size is a pair"),
        (dict(pixel=0.0), "pixel must be positive"),
        (dict(max_overlap=1.5), "max_overlap is a share"),
        (dict(size=(24, 24), pixel=0.5, margin=0.0, cells=(6, 6), max_overlap=0.0), "found room"),
    ):
        with pytest.raises(CellMMError, match=said):
            make_dataset(tmp_path / "set", splits=dict(train=1), scene=wrong)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(dataset, "write_layered_tiff", full)
    with pytest.raises(CellMMError, match="No space left"):
        make_dataset(tmp_path / "set", splits=dict(train=1), scene=TINY)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_make_leaves_nothing(tmp_path, monkeypatch):
    def stop(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(dataset, "write_layered_tiff", stop)
    with pytest.raises(KeyboardInterrupt):
        make_dataset(tmp_path / "set", splits=dict(train=1), scene=TINY)
    assert list(tmp_path.iterdir()) == []


def test_refusals_in_one_line(tmp_path, made):
    with pytest.raises(CellMMError, match="exists"):
        make_dataset(made, splits=dict(train=1), scene=TINY)
    with pytest.raises(CellMMError, match="scene must be one of"):
        make_dataset(tmp_path / "a", splits=dict(train=1), scene="large")
    (tmp_path / "file").write_text("")
    with pytest.raises(CellMMError, match="cannot write there"):
        make_dataset(tmp_path / "file" / "set", splits=dict(train=1), scene=TINY)


def test_a_rank_that_comes_late_still_meets_the_others(made, monkeypatch):
    met = []
    monkeypatch.setattr("cellmm.datasets.simulated.barrier", lambda: met.append(1))
    SimulatedDataset(data_root=made, split="train", simulation=dict(splits=dict(train=2)))
    assert met == [1]


def test_the_dataset_makes_a_missing_folder_once_and_reads_an_existing_one(tmp_path, made):
    simulation = dict(splits=dict(train=1, val=1), scene=TINY, seed=0)
    first = SimulatedDataset(data_root=tmp_path / "new", split="val", simulation=simulation)
    stamp = (tmp_path / "new").stat().st_mtime_ns
    again = SimulatedDataset(data_root=tmp_path / "new", split="train", simulation=simulation)
    assert len(first) == len(again) == 1 and (tmp_path / "new").stat().st_mtime_ns == stamp
    assert len(SimulatedDataset(data_root=made, split="train", simulation=simulation)) == 2
    with pytest.raises(CellMMError):
        SimulatedDataset(data_root=tmp_path / "absent", split="train")


def test_two_programs_make_the_same_folder_at_once(tmp_path):
    """The later one reads what the first one made."""
    root, simulation = tmp_path / "new", dict(splits=dict(val=1), scene=TINY)

    def overtaken(root, **simulation):
        with dataset.new_set(root) as folder:
            make_dataset(root, **simulation)
            (folder / "unused").touch()

    simulate_once(root, simulation, overtaken, "val/annotations.json")
    assert list(tmp_path.iterdir()) == [root] and not (root / "unused").exists()


def test_only_the_folder_that_is_named_is_simulated(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr("cellmm.datasets.simulated.print_log", lambda text, **how: said.append((text, how)))
    simulation = dict(folder=tmp_path / "cells", splits=dict(val=1), scene=TINY)
    line = (
        rf"data_root: {tmp_path}/cels is missing, and only {tmp_path}/cells is .* mean {tmp_path}/cells\? Put"
    )
    with pytest.raises(CellMMError, match=line):
        SimulatedDataset(data_root=tmp_path / "cels", split="val", simulation=simulation)
    (tmp_path / "celss").mkdir()
    with pytest.raises(CellMMError, match=rf"did you mean {tmp_path}/celss\?"):
        SimulatedDataset(data_root=tmp_path / "celsss", split="val", simulation=simulation)
    assert [path.name for path in tmp_path.iterdir()] == ["celss"]
    SimulatedDataset(data_root=tmp_path / "cells", split="val", simulation=simulation)
    ((text, how),) = said
    assert (
        f"{tmp_path}/cells is missing: simulating 1 images there" in text and how["level"] == logging.WARNING
    )


def test_what_a_killed_simulation_left_is_removed_and_nothing_else(tmp_path):
    code = (
        "import os, signal\nfrom cellmm.simulation import dataset\n"
        "dataset.write_layered_tiff = lambda *args: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"dataset.make_dataset({str(tmp_path / 'cells')!r}, splits=dict(val=1), scene='small')\n"
    )
    subprocess.run([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".cells.") and (left / "val").is_dir()
    mine = tmp_path / ".cells.of_mine"
    mine.mkdir()
    running = tmp_path / ".other.cellmm-simulation-running"
    running.mkdir()
    lock = os.open(running, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    make_dataset(tmp_path / "cells", splits=dict(val=1), scene=TINY)
    assert sorted(tmp_path.iterdir()) == sorted([mine, running, tmp_path / "cells"])
    os.close(lock)
    SimulatedDataset(data_root=tmp_path / "cells", split="val", simulation=dict(splits=dict(val=1)))
    assert sorted(tmp_path.iterdir()) == sorted([mine, tmp_path / "cells"])


def test_a_system_without_locks(tmp_path, monkeypatch):
    """Images are made, and nothing that may be in use is removed."""
    monkeypatch.setattr(dataset, "fcntl", None)
    used = tmp_path / f".other{dataset.UNFINISHED}abc"
    used.mkdir()
    make_dataset(tmp_path / "new", splits=dict(train=1), scene=TINY)
    assert (tmp_path / "new/train/annotations.json").is_file() and used.is_dir()
