"""find_cells in a true worker process of Appose."""

import re
import sys
from dataclasses import replace
from pathlib import Path

import appose
import numpy as np
import pytest
import tifffile
from appose.service import Service, TaskException

from cellmm.apis.inferencer import CellInferencer
from cellmm.appose import find_cells
from cellmm.errors import CellMMError
from cellmm.io.annotations import AnnotatedCell, find_reader, to_rle
from cellmm.simulation.scene import SCENES, simulate_scene
from cellmm.structures import LabelLayers, rle

ROOT = Path(__file__).parents[2]
SCRIPT = "from cellmm.appose import find_cells\nfind_cells(task, image, **options)"
MODEL = dict(model="cells-simulated")


@pytest.fixture(scope="module")
def service():
    environment = dict(PYTHONPATH=str(ROOT), OMP_NUM_THREADS="1", CUDA_VISIBLE_DEVICES="")
    with Service(ROOT, environment, sys.executable, "-m", "appose.python_worker") as running:
        yield running


@pytest.fixture(scope="module")
def scene():
    crowded = replace(SCENES["small"], cells=(14, 16), neighbour_share=0.6)
    return simulate_scene(crowded, np.random.default_rng([14, 5])).brightfield


@pytest.fixture(scope="module")
def wanted(scene):
    found = CellInferencer("cells-simulated", device="cpu").predict(np.moveaxis(scene, 0, -1))
    return found.select(found.scores >= np.float32(0.3))


def ask(service, image, **options):
    return service.task(SCRIPT, dict(image=image, options=MODEL | options)).wait_for().outputs


def layers_of(outputs):
    """A copy of the labels, whose memory is then removed."""
    shared = outputs["labels"]
    layers = shared.ndarray().copy()
    shared.shm.close()
    shared.shm.unlink()
    return LabelLayers(layers)


def test_an_array_in_shared_memory_gives_labels_scores_and_outlines(service, scene, wanted):
    with appose.NDArray(str(scene.dtype), list(scene.shape)) as image:
        image.ndarray()[:] = scene
        outputs = ask(service, image)
    layers = layers_of(outputs)
    assert layers.num_layers > 1 and layers.to_rles() == wanted.masks.to_rles()
    assert outputs["scores"] == pytest.approx(wanted.scores.tolist())
    assert outputs["classes"] == wanted.class_names()
    cells = [
        AnnotatedCell([np.array(ring) for part in cell for ring in part]) for cell in outputs["outlines"]
    ]
    assert [to_rle(cell, wanted.shape) for cell in cells] == wanted.masks.to_rles()


def test_a_path_and_rois_for_fiji(service, scene, wanted, tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", scene, metadata={"axes": "CYX"})
    outputs = ask(service, str(tmp_path / "a.tif"), rois=str(tmp_path / "a.zip"), score_thr=0.0)
    count = len(outputs["scores"])
    assert count >= len(wanted) and len(layers_of(outputs)) == count
    (annotation,) = find_reader(tmp_path / "a.zip").read(tmp_path / "a.zip")
    masks = rle.decode([to_rle(cell, wanted.shape) for cell in annotation.cells])
    assert len(masks) == count


def test_an_image_without_cells(service):
    with appose.NDArray("uint16", [2, 64, 80]) as image:
        image.ndarray()[:] = 100
        outputs = ask(service, image)
    assert outputs["scores"] == outputs["outlines"] == []
    assert layers_of(outputs).layers.shape == (1, 64, 80)


@pytest.mark.parametrize(
    ("image", "options", "line"),
    [
        ("absent.tif", {}, "absent.tif"),
        ("absent.tif", dict(model="nuclie"), "did you mean nuclei?"),
        ([2, 2, 64, 64], {}, "(H, W) or (C, H, W) is needed"),
        ([3, 64, 64], {}, "3 channels, but the model takes 2"),
    ],
)
def test_what_is_refused_ends_the_task_and_not_the_worker(service, image, options, line):
    if not isinstance(image, str):
        image = appose.NDArray("uint8", image)
    with pytest.raises(TaskException, match=re.escape(line)) as error:
        ask(service, image, **options)
    assert "CellMMError: " in str(error.value) and service.is_alive()
    if not isinstance(image, str):
        image.shm.close()
        image.shm.unlink()


class Task:
    """Stands for the task that the script of a worker sees."""

    def __init__(self, cancelled_after=None):
        self.told, self.cancelled, self.cancelled_after = [], False, cancelled_after

    @property
    def cancel_requested(self):
        return len(self.told) == self.cancelled_after

    def update(self, message, current, maximum):
        self.told.append((current, maximum))

    def cancel(self):
        self.cancelled = True


def test_progress_and_cancelling(scene, tiles_of_training):
    image = np.tile(np.moveaxis(scene, 0, -1), (2, 2, 1))
    whole = Task()
    layers_of(find_cells(whole, image, **MODEL))
    total = whole.told[-1][1]
    assert whole.told == [(n, total) for n in range(1, total + 1)] and total > 3
    stopped = Task(cancelled_after=2)
    with pytest.raises(CellMMError, match=f"cancelled after 3 of {total} tiles"):
        find_cells(stopped, image, **MODEL)
    assert stopped.cancelled and len(stopped.told) == 2
