"""EditableCells: add, remove and undo, also after something was painted by hand."""

import numpy as np
import pytest

from cellmm.errors import CellMMError
from cellmm.structures import EditableCells

SQUARE = np.ones((3, 3), bool)


def two_squares():
    """Two 3x3 cells that share one pixel, on 8x8."""
    masks = np.zeros((2, 8, 8), bool)
    masks[0, 1:4, 1:4] = masks[1, 3:6, 3:6] = True
    return EditableCells([masks[0].astype(np.int32), 2 * masks[1].astype(np.int32)]), masks


def masks_of(cells):
    return {mask.tobytes() for mask in cells.to_layers().to_masks()}


def test_adding_keeps_what_is_there():
    cells, masks = two_squares()
    assert len(cells.layers) == 2
    label = cells.add(SQUARE, (2, 2))  # over both: no layer has room
    assert label == 3 and len(cells.layers) == 3
    new = np.zeros((8, 8), bool)
    new[2:5, 2:5] = True
    assert masks_of(cells) == {new.tobytes(), *(mask.tobytes() for mask in masks)}
    assert cells.add(np.ones((1, 8), bool), (7, 0)) == 4 and len(cells.layers) == 3  # the first has room


def test_the_topmost_cell_goes_first_and_comes_back_last():
    cells, _ = two_squares()
    before = [layer.copy() for layer in cells.layers]
    assert [label for _, label in cells.at(3, 3)] == [2, 1]
    assert [cells.remove(3, 3), cells.remove(3, 3)] == [2, 1]
    with pytest.raises(CellMMError, match="no cell at row 3, column 3"):
        cells.remove(3, 3)
    assert [cells.undo(), cells.undo()] == ["put cell 1 back", "put cell 2 back"]
    assert all(np.array_equal(*pair) for pair in zip(cells.layers, before, strict=True))
    with pytest.raises(CellMMError, match="nothing to undo"):
        cells.undo()


def test_what_was_painted_since_stays():
    cells, _ = two_squares()
    cells.remove(1, 1)
    cells.layers[0][2, 2] = 9  # by hand, where cell 1 was
    cells.undo()
    assert (cells.layers[0] == 9).sum() == 1 and len(cells.to_layers()) == 3
    assert sorted(cells.to_layers().areas().tolist()) == [1, 9, 9]
    label = cells.add(SQUARE, (5, 0))
    cells.layers[0][5:8, 0:3] = 0  # the new cell is erased by hand
    assert cells.undo() == f"removed cell {label} again"


def test_a_label_on_two_layers_is_two_cells():
    layers = np.zeros((2, 4, 4), np.int32)
    layers[0, :2, :2] = layers[1, 1:3, 1:3] = 1
    cells = EditableCells(list(layers))
    assert sorted(cells.to_layers().areas().tolist()) == [4, 4]
    assert cells.remove(0, 0) == 1 and len(cells.to_layers()) == 1
    assert len(EditableCells([np.zeros((4, 4), np.int32)]).to_layers()) == 0


def test_masks_that_are_there_already():
    cells, _ = two_squares()
    assert cells.same_as(SQUARE, (1, 1)) == 1
    assert cells.same_as(np.ones((3, 2), bool), (1, 1)) == 1  # IoU 6 / 9
    assert cells.same_as(np.ones((3, 1), bool), (1, 1)) is None
    assert cells.same_as(SQUARE, (2, 2)) is None


def test_wrong_places():
    cells, _ = two_squares()
    with pytest.raises(CellMMError, match="row 8, column 0 lies outside"):
        cells.remove(8, 0)
    with pytest.raises(ValueError, match="is not inside"):
        cells.add(SQUARE, (6, 6))
    with pytest.raises(ValueError, match="no pixel"):
        cells.add(np.zeros((2, 2), bool), (0, 0))
    with pytest.raises(ValueError, match="one shape"):
        EditableCells([np.zeros((2, 2), int), np.zeros((2, 3), int)])
    with pytest.raises(CellMMError, match="uint8 has no room for cell 256"):
        EditableCells([np.full((4, 4), 255, np.uint8)]).add(np.ones((1, 1), bool), (0, 0))


def test_undo_takes_a_new_label_where_its_own_was_painted_since():
    cells = EditableCells([np.array([[1, 1, 0, 0]])])
    cells.remove(0, 0)
    cells.layers[0][0, 3] = 1  # by hand
    assert cells.undo() == "put cell 1 back, as cell 2"
    assert cells.layers[0].tolist() == [[2, 2, 0, 1]] and len(cells.to_layers()) == 2


def test_a_cell_that_comes_back_on_another_layer_does_not_join_another():
    cells = EditableCells([np.array([[1, 1, 0]]), np.array([[0, 0, 1]])])
    cells.remove(0, 0)
    cells.layers[0][0, 1] = 5  # by hand: its place is taken
    cells.undo()
    assert [layer.tolist() for layer in cells.layers] == [[[0, 5, 0]], [[6, 6, 1]]]


def test_undo_of_a_cell_keeps_what_was_painted_with_its_label():
    cells = EditableCells([np.array([[1, 1, 0, 0, 0]])])
    assert cells.add(np.ones((1, 2), bool), (0, 2)) == 2
    cells.layers[0][0, 4] = 2  # by hand
    cells.layers[0][0, 2] = 1
    cells.undo()
    assert cells.layers[0].tolist() == [[1, 1, 1, 0, 2]]
