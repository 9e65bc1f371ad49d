"""What the widget does, without Qt; integrations/napari/check_plugin.py drives the widget itself."""

import ast
from pathlib import Path

import numpy as np
import pytest
import yaml

import cellmm.napari
from cellmm.errors import CellMMError
from cellmm.napari.session import Session, add_missing, image_of
from cellmm.simulation.scene import SCENES, simulate_scene
from cellmm.structures import EditableCells, LabelLayers

PACKAGE = Path(cellmm.napari.__file__).parent


@pytest.fixture(scope="module")
def session():
    return Session()


@pytest.fixture(scope="module")
def scene():
    return simulate_scene(SCENES["small"], np.random.default_rng([14, 5]))


def test_the_manifest_names_what_exists():
    manifest = yaml.safe_load((PACKAGE / "napari.yaml").read_text())["contributions"]
    commands = {command["id"]: command["python_name"] for command in manifest["commands"]}
    used = {part["command"] for part in manifest["readers"] + manifest["widgets"]}
    assert used == set(commands)
    for name in commands.values():
        module, part = name.split(":")
        assert module.startswith("cellmm.napari.")
        tree = ast.parse((PACKAGE / f"{module.split('.')[-1]}.py").read_text())
        assert part in {getattr(node, "name", None) for node in tree.body}


def test_only_the_widget_needs_napari_and_qt():
    for path in PACKAGE.glob("*.py"):
        imported = {
            (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name).split(".")[0]
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Import | ast.ImportFrom)
        }
        assert path.stem == "widget" or not imported & {"napari", "qtpy", "magicgui"}


def test_a_model_is_loaded_once(session, tmp_path):
    first = session.load("cells-simulated")
    assert session.load("cells-simulated") is first
    assert session.load("cells-simulated", diameter=40.0) is not first
    with pytest.raises(CellMMError, match="did you mean cells-simulated"):
        session.load("cell-simulated")
    session.load("cells-simulated")


def test_find_in_the_image_and_in_a_part(session, scene):
    inferencer = session.load("cells-simulated")
    image = image_of([scene.brightfield])
    whole = session.find(inferencer, image)
    assert whole.cut == 0 and len(whole.instances) > 4
    box = (32, 16, 224, 240)
    part = session.find(inferencer, image, box)
    assert part.instances.shape == (256, 256) and part.cut > 0 and len(part.instances)
    boxes = part.instances.masks.boxes()
    assert (boxes[:, :2] > (32, 16)).all() and (boxes[:, 2:] < (224, 240)).all()
    cells = EditableCells.of(whole.instances.to_layers())
    before = len(cells.to_layers())
    added = add_missing(cells, part.instances)
    assert added <= 1 and len(cells.to_layers()) == before + added
    empty = EditableCells.of(LabelLayers.empty(256, 256))
    assert add_missing(empty, whole.instances) == len(whole.instances) == len(empty.to_layers())


def test_progress_of_tiles(scene, monkeypatch):
    monkeypatch.setattr("cellmm.engine.trained_on.TILE_BYTES", 0)
    session, told = Session(), []
    image = np.tile(image_of([scene.brightfield]), (2, 2, 1))
    session.find(session.load("cells-simulated"), image, None, lambda *step: told.append(step))
    assert told and told == [(n, told[-1][1]) for n in range(1, told[-1][1] + 1)]


def test_clicks_keep_the_features_of_the_image(session, scene):
    inferencer = session.load("cells-simulated")
    planes, cells = [scene.brightfield], EditableCells.of(LabelLayers.empty(256, 256))
    editor = session.editor(inferencer, planes, False, cells)
    assert session.editor(inferencer, planes, False, cells) is editor
    other = EditableCells.of(LabelLayers.empty(256, 256))
    assert session.editor(inferencer, planes, False, other) is editor and editor.cells is other
    mask = scene.cells.to_masks()[0]
    editor.add(*map(int, np.argwhere(mask)[mask.sum() // 2]))
    assert len(other.to_layers()) == 1 and len(cells.to_layers()) == 0
    assert session.editor(inferencer, [scene.brightfield.copy()], False, cells) is not editor


def test_layers_as_an_image():
    grey, pair, rgb = np.zeros((5, 6)), np.zeros((2, 5, 6)), np.zeros((5, 6, 4))
    assert image_of([grey]).shape == (5, 6)
    assert image_of([pair]).shape == image_of([grey, grey]).shape == (5, 6, 2)
    assert image_of([rgb], True).shape == (5, 6, 3)
    for planes, text in (
        ([], "no image"),
        ([np.zeros((20, 5, 6))], "Split Stack"),
        ([grey, pair], "Split Stack"),
        ([np.zeros((2, 3, 5, 6))], "Split Stack"),
        ([grey, np.zeros((5, 7))], "different sizes"),
    ):
        with pytest.raises(CellMMError, match=text):
            image_of(planes)
