"""The widget of napari: run a model, correct its cells by clicks, save them, fine-tune."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from napari.layers import Image, Labels
from napari.qt.threading import create_worker
from napari.viewer import Viewer
from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QButtonGroup,
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QRadioButton,
    QVBoxLayout,
    QWidget,
)

from cellmm.errors import CellMMError
from cellmm.napari.fine_tune import FineTuning, command, work_dir_for
from cellmm.napari.reader import label_layers, of_instances
from cellmm.napari.session import Found, Session, add_missing, image_of
from cellmm.napari.training_data import FORMATS, save_training_data
from cellmm.structures import EditableCells, LabelLayers
from cellmm.zoo import shipped_models

LOOK, ADD, REMOVE = "look", "click adds", "click removes"


class CellsWidget(QWidget):
    """Find cells, correct them by clicks, save them, fine-tune.

    Everything works on the selected image layers, else on the topmost one, and on the visible Labels layers
    of its size.

    Args:
        viewer: napari gives it.
    """

    progressed = Signal(int, int)  # tiles done, tiles in all

    def __init__(self, viewer: Viewer) -> None:
        super().__init__()
        self.viewer, self.session = viewer, Session()
        self._cells: EditableCells | None = None
        self._training: FineTuning | None = None
        self._build()
        self.progressed.connect(self._on_progress)
        viewer.mouse_drag_callbacks.append(self._on_click)

    # the controls

    def _build(self) -> None:
        self.model = QComboBox()
        self.model.setEditable(True)
        self.model.addItems(list(shipped_models()))
        self.model.setToolTip("a model that comes with cellmm, the folder of a training, or a config")
        self.checkpoint = QLineEdit(placeholderText="only with a config")
        self.diameter = QDoubleSpinBox(maximum=2000, specialValueText="as the model finds it", suffix=" px")
        self.score = QDoubleSpinBox(maximum=1, singleStep=0.05, value=0.3)
        self.folder = QLineEdit(placeholderText="of training data")
        self.kind = QComboBox()
        self.kind.addItems(list(FORMATS))
        self.minutes = QDoubleSpinBox(minimum=1, maximum=10000, value=10, decimals=0)
        self.progress, self.status = QProgressBar(visible=False), QLabel(wordWrap=True)
        form = QFormLayout()
        form.addRow("model", _beside(self.model, _button("...", self._choose_work_dir)))
        form.addRow("checkpoint", _beside(self.checkpoint, _button("...", self._choose_checkpoint)))
        form.addRow("cell diameter", self.diameter)
        form.addRow("least score", self.score)
        self.run_button = _button("Find cells in the image", self.run)
        self.run_view_button = _button("Find cells in what is visible", lambda: self.run(visible=True))
        self.modes = QButtonGroup(self)
        buttons = [QRadioButton(name) for name in (LOOK, ADD, REMOVE)]
        for number, button in enumerate(buttons):
            self.modes.addButton(button, number)
        buttons[0].setChecked(True)
        self.modes.idToggled.connect(self._on_mode)
        save = QFormLayout()
        save.addRow("folder", _beside(self.folder, _button("...", self._choose_folder)))
        save.addRow("as", self.kind)
        save.addRow("minutes", self.minutes)
        self.train_button = _button("Fine-tune the model on the folder", self.fine_tune)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        for button in (self.run_button, self.run_view_button):
            layout.addWidget(button)
        layout.addLayout(_row(*buttons, _button("Undo", self.undo)))
        layout.addLayout(save)
        for part in (_button("Save as training data", self.save), self.train_button):
            layout.addWidget(part)
        for part in (self.progress, self.status):
            layout.addWidget(part)
        layout.addStretch()

    def _choose_work_dir(self) -> None:
        if path := QFileDialog.getExistingDirectory(self, "Folder of a training"):
            self.model.setCurrentText(path)

    def _choose_checkpoint(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Weights", filter="Weights (*.pth *.safetensors)")
        self.checkpoint.setText(path or self.checkpoint.text())

    def _choose_folder(self) -> None:
        self.folder.setText(
            QFileDialog.getExistingDirectory(self, "Folder of training data") or self.folder.text()
        )

    def say(self, text: str) -> None:
        """Show a line below the controls."""
        self.status.setText(text)

    def _try(self, action: Callable[[], str | None]) -> None:
        """Do something, and say what came of it, or what the user can correct."""
        try:
            if text := action():
                self.say(text)
        except (CellMMError, OSError) as error:
            self.say(str(error))

    def _on_error(self, error: Exception) -> None:
        """Say what a thread ended with; a bug is shown by napari."""
        if not isinstance(error, CellMMError | OSError):
            raise error
        self.say(str(error))

    # what is there

    def image_layers(self) -> list[Image]:
        """The selected image layers from bottom to top, else the topmost one.

        Raises:
            CellMMError: there is none.
        """
        images = [layer for layer in self.viewer.layers if isinstance(layer, Image)]
        chosen = [layer for layer in images if layer in self.viewer.layers.selection] or images[-1:]
        if not chosen:
            raise CellMMError("no image: open one first")
        return chosen

    def _planes(self) -> tuple[list[np.ndarray], bool]:
        layers = self.image_layers()
        return [layer.data for layer in layers], any(layer.rgb for layer in layers)

    def image(self) -> np.ndarray:
        """The image, (H, W) or (H, W, C)."""
        return image_of(*self._planes())

    def labels(self, *, visible: bool = True) -> list[Labels]:
        """The visible Labels layers of the size of the image, or the hidden ones, from bottom to top."""
        shape = self.image().shape[:2]
        layers = (layer for layer in self.viewer.layers if isinstance(layer, Labels))
        return [layer for layer in layers if layer.visible == visible and tuple(layer.data.shape) == shape]

    def cells(self) -> EditableCells:
        """The cells on these layers; a new layer where there is none. Undo goes back as long as they stay."""
        return self._cells_of(self.labels() or self._empty(self.image_layers()[-1], self.image().shape[:2]))

    def _cells_of(self, layers: list[Labels]) -> EditableCells:
        data = [layer.data for layer in layers]
        known = [] if self._cells is None else self._cells.layers
        if len(known) != len(data) or any(a is not b for a, b in zip(known, data, strict=True)):
            self._cells = EditableCells(data)
        return self._cells

    def _empty(self, image: Image, shape: tuple[int, int]) -> list[Labels]:
        """A new layer without cells."""
        return self._show(label_layers(LabelLayers.empty(*shape), image.name), image)

    def _show(self, layers: list, image: Image) -> list[Labels]:
        """Add layers of the reader, where the image lies."""
        selection = set(self.viewer.layers.selection)
        scale, translate = image.scale[-2:], image.translate[-2:]
        added = [
            self.viewer.add_labels(data, scale=scale, translate=translate, **arguments)
            for data, arguments, _ in layers
        ]
        self.viewer.layers.selection = selection
        return added

    def _refresh(self, shown: list[Labels], image: Image) -> None:
        """Show what was changed in the cells, also layers that are new."""
        for number in range(len(shown), len(self._cells.layers)):
            arguments = dict(name=f"{image.name} cells, layer {number + 1}", opacity=0.6)
            self._show([(self._cells.layers[number], arguments, "labels")], image)
        for layer in shown:
            layer.refresh()

    # find

    def run(self, *, visible: bool = False) -> None:
        """Find the cells of the image, or of its visible part, in a thread.

        Cells of the whole image take the place of those that are shown, whose layers are hidden; those of a
        part are added to them. Both go to the image that was selected at the start.
        """
        self._try(lambda: self._run(visible))

    def _run(self, visible: bool) -> str:
        model = self.model.currentText(), self.checkpoint.text(), self.diameter.value() or None
        image, box, score = self.image(), self.visible_box() if visible else None, self.score.value()
        target, earlier = self.image_layers()[-1], self.labels()

        def work() -> Found:
            inferencer = self.session.load(*model)
            inferencer.score_thr = score
            return self.session.find(inferencer, image, box, self.progressed.emit)

        worker = create_worker(work, _start_thread=False, _ignore_errors=True)
        show = self._add_found if visible else self._show_found
        worker.returned.connect(lambda found: self._try(lambda: show(found, target, earlier)))
        worker.errored.connect(self._on_error)
        worker.finished.connect(lambda: self._busy(False))
        self._busy(True)
        worker.start()
        return "looking for cells ..."

    def visible_box(self) -> tuple[int, int, int, int]:
        """(top, left, bottom, right) of the part of the image that is visible, in its pixels."""
        shape = self.image().shape[:2]
        corners = np.asarray(self.image_layers()[-1].corner_pixels)[:, -2:]
        low = np.clip(np.floor(corners[0]), 0, np.array(shape) - 1).astype(int)
        high = np.clip(np.ceil(corners[1]) + 1, low + 1, shape).astype(int)
        return int(low[0]), int(low[1]), int(high[0]), int(high[1])

    def _add_found(self, found: Found, image: Image, layers: list[Labels]) -> str:
        """Add the cells of a part of an image to those on its layers."""
        layers = self._still_there(image, layers) or self._empty(image, found.instances.masks.shape)
        added = add_missing(self._cells_of(layers), found.instances)
        self._refresh(layers, image)
        cut = f"; {found.cut} at the border of the view are left out" if found.cut else ""
        return f"{len(found.instances)} cells, {added} of them new{cut}"

    def _show_found(self, found: Found, image: Image, earlier: list[Labels]) -> str:
        """Show the cells of an image, and hide its earlier layers, which may hold corrections."""
        earlier = self._still_there(image, earlier)
        for layer in earlier:
            layer.visible = False
        self._show(of_instances(found.instances, image.name), image)
        hidden = f"{len(earlier)} earlier layers are" if len(earlier) > 1 else "1 earlier layer is"
        return f"{len(found.instances)} cells{f'; {hidden} hidden' if earlier else ''}"

    def _still_there(self, image: Image, layers: list[Labels]) -> list[Labels]:
        """Those of the layers that were not closed in the meantime.

        Raises:
            CellMMError: the image was closed.
        """
        if image not in self.viewer.layers:
            raise CellMMError(f"{image.name} was closed: its cells are not shown")
        return [layer for layer in layers if layer in self.viewer.layers]

    def _busy(self, busy: bool) -> None:
        for button in (self.run_button, self.run_view_button):
            button.setEnabled(not busy)
        self.progress.setVisible(busy)
        self.progress.setRange(0, 0)

    def _on_progress(self, done: int, total: int) -> None:
        self.progress.setRange(0, total)
        self.progress.setValue(done)

    # correct

    @property
    def mode(self) -> str:
        """What a click does: LOOK, ADD or REMOVE."""
        return (LOOK, ADD, REMOVE)[self.modes.checkedId()]

    @mode.setter
    def mode(self, mode: str) -> None:
        self.modes.button((LOOK, ADD, REMOVE).index(mode)).setChecked(True)

    def _on_mode(self, number: int, checked: bool) -> None:
        if checked and number:  # a click must not paint as well
            for layer in self.viewer.layers:
                if isinstance(layer, Labels):
                    layer.mode = "pan_zoom"

    def _on_click(self, viewer: Viewer, event: Any) -> Iterator[None]:
        if self.mode == LOOK or event.button != 1:
            return
        yield
        moved = False
        while event.type == "mouse_move":
            moved = True
            yield
        if not moved:
            self._try(lambda: self.click(event.position))

    def click(self, position: tuple[float, ...]) -> str:
        """Add or remove the cell at a place, in the coordinates of the viewer, and say what was done.

        Raises:
            CellMMError: there is none, or the model cannot add any.
        """
        y, x = np.rint(self.image_layers()[-1].world_to_data(position)[-2:]).astype(int).tolist()
        cells = self.cells()
        if self.mode == REMOVE:
            text = f"removed cell {cells.remove(y, x)}"
        else:
            model = self.model.currentText(), self.checkpoint.text(), self.diameter.value() or None
            editor = self.session.editor(self.session.load(*model), *self._planes(), cells)
            text = f"added cell {editor.add(y, x)}"
        self._refresh(self.labels(), self.image_layers()[-1])
        return text

    def undo(self) -> None:
        """Take the last click back."""

        def action() -> str:
            text = self.cells().undo()
            self._refresh(self.labels(), self.image_layers()[-1])
            return text

        self._try(action)

    # learn

    def save(self) -> None:
        """Save the image and its visible cells as training data; hidden layers are counted, not saved."""
        self._try(self._save)

    def _save(self) -> str:
        if not self.folder.text():
            raise CellMMError("choose a folder for training data first")
        name = "".join(c if c.isalnum() or c in "-_" else "_" for c in self.image_layers()[-1].name)
        cells = self.cells().to_layers()
        planes, rgb = self._planes()
        image = image_of(planes, rgb)
        _, annotation = save_training_data(
            self.folder.text(), name, image, cells, self.kind.currentText(), rgb=rgb
        )
        hidden = len(self.labels(visible=False))
        left_out = f"; {hidden} hidden label layer{'s' * (hidden > 1)} left out" if hidden else ""
        return f"saved {len(cells)} cells, all of one class: {annotation}{left_out}"

    def fine_tune(self) -> None:
        """Train the model on the folder in a process; once more: stop it."""
        self._try(self._fine_tune)

    def _fine_tune(self) -> str:
        if self._training is not None:
            self._training.stop()
            return "stopping the training ..."
        if not self.folder.text():
            raise CellMMError("choose a folder of training data first")
        target = work_dir_for(self.folder.text())
        start = self.checkpoint.text() or self.model.currentText()
        words = command(self.folder.text(), start, self.minutes.value(), target)
        self._training = FineTuning(words)
        self.train_button.setText("Stop the training")

        def done(_: Any) -> None:
            self.model.setCurrentText(str(target))
            self.checkpoint.clear()
            self.say(f"trained: the model is now {target}")

        worker = create_worker(self._training.lines, _start_thread=False, _ignore_errors=True)
        worker.yielded.connect(self.say)
        worker.returned.connect(done)
        worker.errored.connect(self._on_error)
        worker.finished.connect(self._on_trained)
        worker.start()
        return "training ..."

    def _on_trained(self) -> None:
        self._training = None
        self.train_button.setText("Fine-tune the model on the folder")


def _button(text: str, action: Callable[[], Any]) -> QPushButton:
    button = QPushButton(text)
    button.clicked.connect(lambda: action())
    return button


def _row(*parts: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    for part in parts:
        row.addWidget(part)
    return row


def _beside(wide: QWidget, button: QPushButton) -> QHBoxLayout:
    button.setMaximumWidth(32)
    row = _row(wide, button)
    row.setStretch(0, 1)
    return row
