"""Drive the plugin in a true viewer: open, run, click, undo, save, and measure the clicks.

    pip install -e ".[napari]"
    python integrations/napari/check_plugin.py --screenshot napari.png

Without a screen, after xvfb-run -s "-screen 0 1400x900x24". What is wrong ends in an AssertionError.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import napari
import numpy as np
import tifffile
from npe2 import PluginManager, PluginManifest
from qtpy.QtCore import QPointF, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication
from scipy import ndimage

import cellmm.napari
from cellmm.commands import cli
from cellmm.io.layered_tiff import read_label_layers
from cellmm.napari.widget import ADD, LOOK, REMOVE, CellsWidget
from cellmm.simulation.scene import SCENES, simulate_scene

MOST_SECONDS = 120  # to wait for the model


def wait(done: Callable[[], bool]) -> None:
    """Let Qt work until ``done``."""
    end = time.monotonic() + MOST_SECONDS
    while not done():
        assert time.monotonic() < end, "the viewer did not answer"
        QApplication.processEvents()
        time.sleep(0.01)


def click(viewer: napari.Viewer, y: float, x: float) -> float:
    """A click of the mouse on the canvas, at a pixel of the image; seconds of the processor."""
    canvas = viewer.window._qt_viewer.canvas.native
    middle = QPointF(canvas.width() / 2, canvas.height() / 2)
    camera = getattr(viewer, "scene", viewer).camera  # its place since napari 0.9
    _, y0, x0 = camera.center
    place = (middle + QPointF(x - x0, y - y0) * camera.zoom).toPoint()
    start = time.process_time()
    QTest.mouseClick(canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, place)
    QApplication.processEvents()
    return time.process_time() - start


def masks_of(widget: CellsWidget) -> np.ndarray:
    return widget.cells().to_layers().to_masks()


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


def middle_of(mask: np.ndarray, others: np.ndarray) -> tuple[int, int]:
    """The pixel of a mask that lies deepest in it, where no other cell is."""
    depth = ndimage.distance_transform_edt(np.pad(mask & ~others, 1))[1:-1, 1:-1]
    return tuple(int(n) for n in np.unravel_index(depth.argmax(), depth.shape))


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--screenshot", type=Path, help="write a picture of the window here (PNG)")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        return check(Path(folder), args.screenshot)


def check(folder: Path, screenshot: Path | None) -> int:
    crowded = replace(SCENES["small"], cells=(14, 16), neighbour_share=0.6)
    scene = simulate_scene(crowded, np.random.default_rng([14, 5]))
    true = scene.cells.to_masks()
    tifffile.imwrite(folder / "scene.tif", scene.brightfield, metadata={"axes": "CYX"})
    manifest = PluginManifest.from_file(Path(cellmm.napari.__file__).parent / "napari.yaml")
    manifest.validate_imports()
    if "cellmm" not in PluginManager.instance():
        PluginManager.instance().register(manifest)

    argv = ["predict", str(folder / "scene.tif"), "--model", "cells-simulated", "--save", "layers"]
    assert cli.main([*argv, "--out", str(folder / "results"), "--device", "cpu"]) == 0
    viewer = napari.Viewer()
    image = viewer.add_image(scene.brightfield, name="scene", channel_axis=None)
    viewer.open(str(folder / "results"), plugin="cellmm")
    read = [layer for layer in viewer.layers if isinstance(layer, napari.layers.Labels)]
    assert len(read) >= 2 and "score" in read[0].features, "the results are not read into layers"
    viewer.open(str(next((folder / "results/layers").glob("*.tif"))), plugin="cellmm")
    again = [layer for layer in viewer.layers if isinstance(layer, napari.layers.Labels)][len(read) :]
    assert len(again) == len(read), "the layered TIFF is not read"
    for layer in read + again:
        viewer.layers.remove(layer)

    viewer.layers.selection = {image}
    widget = CellsWidget(viewer)
    viewer.window.add_dock_widget(widget, name="cellmm", area="right")
    viewer.window.resize(1400, 800)
    settled = time.monotonic() + 1
    wait(lambda: time.monotonic() > settled)
    viewer.reset_view(margin=0.02)
    widget.model.setCurrentText("cells-simulated")
    widget.run()
    wait(widget.run_button.isEnabled)
    found = masks_of(widget)
    hits = sum(max(iou(mask, other) for other in found) > 0.5 for mask in true)
    assert hits >= 0.9 * len(true), widget.status.text()
    print(f"{len(found)} cells found, {hits} of {len(true)} true ones: {widget.status.text()}")

    earlier = widget.labels()
    other = viewer.add_image(np.zeros((8, 8)), name="other")
    viewer.layers.selection = {image}
    widget.run()
    viewer.layers.selection = {other}  # while the model looks
    wait(widget.run_button.isEnabled)
    viewer.layers.remove(other)
    viewer.layers.selection = {image}
    assert f"{len(earlier)} earlier layers are hidden" in widget.status.text(), widget.status.text()
    assert all(layer in viewer.layers and not layer.visible for layer in earlier), "labels are lost"
    assert np.array_equal(masks_of(widget), found), "the cells are not on their image"

    widget.run(visible=True)
    wait(widget.run_button.isEnabled)
    assert " 0 of them new" in widget.status.text(), widget.status.text()

    seconds, right, clicks = [], 0, 0
    for i, mask in enumerate(true):
        y, x = middle_of(mask, np.delete(true, i, axis=0).any(0))
        widget.mode = REMOVE
        before = len(masks_of(widget))
        click(viewer, y, x)
        assert len(masks_of(widget)) == before - 1, widget.status.text()
        widget.mode = ADD
        seconds.append(click(viewer, y, x))
        added = masks_of(widget)
        assert len(added) == before, widget.status.text()
        right += max(iou(mask, other) for other in added) > 0.5
        clicks += 1
    assert right >= 0.9 * clicks, f"{right} of {clicks} clicks add the right cell"
    labels = widget.labels()
    assert all(any(data is layer.data for layer in labels) for data in widget.cells().layers)

    widget.mode = REMOVE
    before = [layer.data.copy() for layer in widget.labels()]
    click(viewer, y, x)
    widget.undo()
    assert all(np.array_equal(a, b.data) for a, b in zip(before, widget.labels(), strict=True))
    widget.mode = LOOK
    click(viewer, y, x)
    assert all(np.array_equal(a, b.data) for a, b in zip(before, widget.labels(), strict=True))
    widget.mode = ADD
    click(viewer, -5, -5)
    assert "outside" in widget.status.text()

    widget.folder.setText(str(folder / "mine"))
    widget.save()
    saved = read_label_layers(folder / "mine/labels/scene.tif").to_masks()
    assert np.array_equal(saved, masks_of(widget)), widget.status.text()
    assert f"{len(earlier)} hidden label layers left out" in widget.status.text(), widget.status.text()
    assert np.array_equal(tifffile.imread(folder / "mine/images/scene.tif"), scene.brightfield)
    widget.fine_tune()
    assert widget.status.text() == "training ...", widget.status.text()
    wait(lambda: widget.status.text() != "training ...")  # it has printed a line
    widget.fine_tune()  # stops it
    wait(lambda: widget._training is None)
    assert "was stopped" in widget.status.text(), widget.status.text()

    if screenshot is not None:
        widget.mode = ADD
        widget.folder.setText("data/mine")
        widget.say(f"{len(saved)} cells")
        for _ in range(20):
            QApplication.processEvents()
            time.sleep(0.02)
        viewer.window.screenshot(str(screenshot), canvas_only=False)
    first, rest = seconds[0] * 1000, np.median(seconds[1:]) * 1000
    assert rest < 200, f"a click takes {rest:.0f} ms"
    print(f"first click {first:.0f} ms, then {rest:.0f} ms (median of {len(seconds) - 1}), of one core")
    print(f"the plugin works: {right} of {clicks} clicks add the right cell")
    viewer.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
