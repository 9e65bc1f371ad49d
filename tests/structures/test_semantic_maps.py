"""Maps made from instances, by hand."""

import numpy as np
import pytest
from scipy import ndimage

from cellmm.errors import CellMMError
from cellmm.structures import SEMANTIC_NAMES, LabelLayers, cell_borders, semantic_maps


def crossing():
    """A lying and a standing bar of 3 x 7 px in 7 x 7, and a nucleus in the middle of the first."""
    masks = np.zeros((2, 7, 7), bool)
    masks[0, 2:5], masks[1, :, 2:5] = True, True
    nuclei = np.zeros((2, 7, 7), bool)
    nuclei[0, 3, 0] = True
    return LabelLayers.from_masks(masks), LabelLayers.from_masks(nuclei)


def test_all_by_hand():
    cells, nuclei = crossing()
    assert cells.num_layers == 2
    maps = semantic_maps(cells, nuclei, SEMANTIC_NAMES, border_width=1)
    assert tuple(maps) == SEMANTIC_NAMES
    assert all(drawn.dtype == np.uint8 and drawn.shape == (7, 7) for drawn in maps.values())
    cross = np.zeros((7, 7), int)
    cross[2:5] = cross[:, 2:5] = 1
    assert maps["cytoplasm"].tolist() == cross.tolist()
    assert maps["background"].tolist() == (1 - cross).tolist()
    assert np.argwhere(maps["overlap"]).tolist() == [[y, x] for y in (2, 3, 4) for x in (2, 3, 4)]
    assert np.argwhere(maps["nuclei"]).tolist() == [[3, 0]]
    # the long sides of each bar, through the other one; the ends lie on the image's edge and are no border
    border = np.zeros((7, 7), int)
    border[[2, 4]] = border[:, [2, 4]] = 1
    assert maps["border"].tolist() == border.tolist()


def test_a_border_is_as_wide_as_a_disk_and_touching_cells_have_two():
    layer = np.zeros((9, 12), int)
    layer[:, :6], layer[:, 6:] = 1, 2
    cells = LabelLayers(layer)
    for width in (1, 2, 3):
        expected = np.abs(np.arange(12) - 5.5) < width
        assert np.array_equal(cell_borders(cells, width=width), np.tile(expected, (9, 1)))
    # one foreign pixel: those within 2 px of it by Euclid, not by a square
    layer = np.ones((7, 7), int)
    layer[3, 3] = 0
    y, x = np.indices((7, 7)) - 3
    expected = (y**2 + x**2 <= 4) & (layer > 0)
    assert np.array_equal(cell_borders(LabelLayers(layer)), expected) and expected.sum() == 12


@pytest.mark.parametrize("num, width", [(3, 1), (40, 2), (300, 4)])
def test_borders_are_those_of_each_cell_by_itself(num, width):
    rng = np.random.default_rng(num)
    masks = np.zeros((num, 61, 47), bool)
    for mask in masks:
        y, x, h, w = rng.integers(0, 50, 2).tolist() + rng.integers(1, 20, 2).tolist()
        mask[y : y + h, x : x + w] = True
    expected = np.any([mask & (ndimage.distance_transform_edt(mask) <= width) for mask in masks], axis=0)
    assert np.array_equal(cell_borders(LabelLayers.from_masks(masks), width=width), expected)


def test_ids_beyond_16_bit_are_told_apart():
    layer = np.arange(1, 70001, dtype=np.int32).reshape(200, 350)
    assert cell_borders(LabelLayers(layer)).all()
    layer[layer > 2**16] = 2**16 + 1  # these and 65536 are different cells
    border = cell_borders(LabelLayers(layer), width=1)
    assert not border[-1].any() and border[(2**16 - 1) // 350, (2**16 - 1) % 350]


def test_edges_of_what_there_can_be():
    names = SEMANTIC_NAMES
    none = semantic_maps(LabelLayers.empty(3, 5), LabelLayers.empty(3, 5), names)
    assert {name: int(drawn.sum()) for name, drawn in none.items()} == dict(
        cytoplasm=0, nuclei=0, border=0, background=15, overlap=0
    )
    whole = semantic_maps(LabelLayers(np.ones((3, 5), int)), None, ("border", "cytoplasm"))
    assert not whole["border"].any() and whole["cytoplasm"].all() and list(whole) == ["border", "cytoplasm"]
    single = np.zeros((5, 5), int)
    single[2, 2] = 1
    assert np.argwhere(cell_borders(LabelLayers(single))).tolist() == [[2, 2]]


def test_what_is_refused():
    cells, nuclei = crossing()
    with pytest.raises(CellMMError, match="'cyto' is unknown"):
        semantic_maps(cells, nuclei, ["cyto"])
    with pytest.raises(CellMMError, match="put LoadNuclei after LoadCells"):
        semantic_maps(cells, None, ["nuclei"])
    with pytest.raises(ValueError, match=r"nuclei of \(3, 5\)"):
        semantic_maps(cells, LabelLayers.empty(3, 5), ["nuclei"])
    for width in (0, 1.5):
        with pytest.raises(CellMMError, match=f"border_width is {width}"):
            semantic_maps(cells, None, ["border"], border_width=width)
