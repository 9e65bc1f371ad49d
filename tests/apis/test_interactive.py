"""InteractiveCells: clicks on simulated scenes, with the model that comes with cellmm."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from cellmm.apis.inferencer import CellInferencer
from cellmm.apis.interactive import InteractiveCells
from cellmm.config.load import load_config
from cellmm.errors import CellMMError
from cellmm.models.heads.gateway_finders import ComponentFinder
from cellmm.registry import MODELS
from cellmm.simulation.scene import SCENES, SceneConfig, simulate_scene
from cellmm.structures import EditableCells, LabelLayers

PER_CELL = 2  # clicks


@pytest.fixture(scope="module")
def inferencer():
    return CellInferencer("cells-simulated", device="cpu")


def scene(seed, config=SCENES["small"]):
    """An image (H, W, 2) and its masks (N, H, W)."""
    simulated = simulate_scene(config, np.random.default_rng([14, seed]))
    return np.moveaxis(simulated.brightfield, 0, -1), simulated.cells.to_masks()


def clicks(masks, rng, least_depth):
    """(cell, row, column) of clicks well inside of cells, where at least ``least_depth`` cells lie."""
    depth = masks.sum(0)
    for i, mask in enumerate(masks):
        inside = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
        inner = inside >= (0.4 * inside.max() if least_depth == 1 else 2)
        places = np.argwhere(inner & (depth >= least_depth))
        if len(places):
            yield from ((i, *map(int, places[n])) for n in rng.integers(len(places), size=PER_CELL))


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


def mask_of(editor, label):
    """bool (H, W)."""
    return np.any([layer == label for layer in editor.cells.layers], axis=0)


@pytest.mark.parametrize("least_depth", [1, 2])
def test_a_click_adds_the_cell_under_it(inferencer, least_depth):
    right, total = 0, 0
    for seed in range(4):
        image, masks = scene(seed)
        editor = InteractiveCells(inferencer, image)
        for _, y, x in clicks(masks, np.random.default_rng(seed), least_depth):
            label = editor.add(y, x)
            right += max(iou(mask_of(editor, label), mask) for mask in masks if mask[y, x]) > 0.5
            total += 1
            editor.undo()
        assert len(editor.cells.to_layers()) == 0
    assert total > 20 and right >= 0.9 * total, f"{right} of {total}"


def test_the_cell_that_is_missing_is_the_one_that_is_added(inferencer):
    """Where two cells overlap and either is there already, the click adds the other one."""
    right, total = 0, 0
    for seed in range(4):
        image, masks = scene(seed)
        for i, y, x in clicks(masks, np.random.default_rng(seed), 2):
            rest = LabelLayers.from_masks(np.delete(masks, i, axis=0))
            editor = InteractiveCells(inferencer, image, rest)
            total += 1
            try:
                right += iou(mask_of(editor, editor.add(y, x)), masks[i]) > 0.5
            except CellMMError as error:
                assert "already" in str(error)
    assert total > 20 and right >= 0.8 * total, f"{right} of {total}"


def test_add_remove_undo(inferencer):
    image, masks = scene(1)
    own = EditableCells.of(LabelLayers.empty(256, 256))
    editor = InteractiveCells(inferencer, image, own)
    assert editor.cells is own
    y, x = map(int, np.argwhere(masks[0]).mean(0))
    label = editor.add(y, x)
    with pytest.raises(CellMMError, match=f"cell {label} is at row {y}, column {x} already"):
        for _ in range(5):
            editor.add(y, x)
    while editor.cells.at(y, x):
        editor.remove(y, x)
    assert not any(layer.any() for layer in own.layers)
    editor.undo()
    assert editor.cells.at(y, x)


def test_a_large_image_is_looked_at_around_the_click(inferencer, monkeypatch):
    """The same cells as in the whole image, from four tiles at most."""
    monkeypatch.setattr("cellmm.engine.trained_on.TILE_BYTES", 0)
    tiled = CellInferencer("cells-simulated", device="cpu")
    image, masks = scene(2, SceneConfig(size=(640, 640), pixel=0.5, cells=(60, 70), defocus=(-6.0, 6.0)))
    editor = InteractiveCells(tiled, image)
    whole = InteractiveCells(CellInferencer("cells-simulated", device="cpu", whole=True), image)
    same, total = 0, 0
    for _, y, x in clicks(masks[::8], np.random.default_rng(0), 1):
        label, expected = editor.add(y, x), whole.add(y, x)
        same += iou(mask_of(editor, label), mask_of(whole, expected)) > 0.9
        total += 1
        editor.undo(), whole.undo()
    assert len(editor._plan.grid) > 4 and len(editor._views) <= 4 and editor.source.shape == (640, 640)
    assert same >= 0.95 * total, f"{same} of {total}"


def test_gateways_of_components_open_by_a_click_too(inferencer, monkeypatch):
    image, masks = scene(0)
    monkeypatch.setattr(inferencer.model.heads["instances"], "finder", ComponentFinder())
    editor = InteractiveCells(inferencer, image)
    right = []
    for _, y, x in clicks(masks, np.random.default_rng(0), 1):
        added = mask_of(editor, editor.add(y, x))
        right.append(max(iou(added, mask) for mask in masks if mask[y, x]) > 0.5)
        editor.undo()
    assert np.mean(right) >= 0.9


def test_refusals_are_one_line(inferencer):
    image, _ = scene(0)
    with pytest.raises(CellMMError, match="row 256, column 3 lies outside"):
        InteractiveCells(inferencer, image).add(256, 3)
    with pytest.raises(CellMMError, match="the model sees no cell at row 20, column 20: paint it by hand"):
        InteractiveCells(inferencer, np.zeros((64, 64, 2), np.uint16)).add(20, 20)
    with pytest.raises(CellMMError, match="is empty"):
        InteractiveCells(inferencer, np.zeros((0, 5, 2), np.uint8))
    with pytest.raises(CellMMError, match=r"cells of \(8, 8\) pixels on an image of \(256, 256\)"):
        InteractiveCells(inferencer, image, LabelLayers.empty(8, 8))


def test_models_without_gateways_are_refused(tiny_config, tmp_path):
    config = load_config(tiny_config(tmp_path))
    model = MODELS.build(config.model)
    torch.save(dict(state_dict=model.state_dict(), meta=dict(iter=1)), tmp_path / "w.pth")
    other = CellInferencer(config.filename, tmp_path / "w.pth", device="cpu")
    with pytest.raises(CellMMError, match="tiny.py has no gateways, and a click is one"):
        InteractiveCells(other, np.zeros((64, 64, 2), np.uint16))


def test_images_are_scaled_as_they_are_predicted():
    """The size of nuclei is found in the image; a click draws what the prediction has there."""
    nuclei = CellInferencer("nuclei", device="cpu")
    simulated = simulate_scene(SCENES["small"], np.random.default_rng([14, 0]))
    found = nuclei.predict(simulated.fluorescence).select(range(4))
    editor = InteractiveCells(nuclei, simulated.fluorescence)
    same = []
    for mask in found.to_layers().to_masks():
        y, x = map(int, np.argwhere(mask).mean(0))
        same.append(iou(mask_of(editor, editor.add(y, x)), mask) > 0.7)
    assert len(same) == 4 and sum(same) >= 3
