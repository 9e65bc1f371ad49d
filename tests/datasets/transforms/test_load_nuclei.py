"""LoadNuclei reads what belongs to each cell, and every step that moves pixels moves it with its cell."""

import numpy as np
import pytest
import tifffile

from cellmm.datasets import SimulatedDataset
from cellmm.datasets.transforms import load_nuclei
from cellmm.errors import CellMMError
from cellmm.io.layered_tiff import read_label_layers, write_layered_tiff
from cellmm.registry import TRANSFORMS
from cellmm.simulation import SceneConfig, make_dataset
from cellmm.structures import LabelLayers, rle

TINY = SceneConfig(size=(48, 64), pixel=0.5, cells=(3, 6), min_visible=20, neighbour_share=0.6)
LOAD = [dict(type="LoadImage"), dict(type="LoadCells"), dict(type="LoadNuclei", keep_original=True)]


def build(**config):
    return TRANSFORMS.build(config)


def loaded(tmp_path, nuclei, num=3, shape=(6, 8), cells=None, **more):
    """Without ``cells``, each covers the whole image."""
    path = tmp_path / "nuclei.tif"
    if isinstance(nuclei, LabelLayers):
        write_layered_tiff(path, nuclei)
    else:
        tifffile.imwrite(path, nuclei)
    if cells is None:
        cells = LabelLayers.from_masks(np.ones((num, *shape), bool), shape)
    results = dict(img_path="a.tif", img_shape=shape, ori_shape=shape, gt_layers=cells, **more)
    return build(type="LoadNuclei", keep_original=True)(dict(results, nuclei_path=str(path)))


def test_simulated_nuclei_are_those_of_their_cells(tmp_path):
    data = dict(data_root=tmp_path / "set", split="train", pipeline=LOAD, nuclei=True)
    dataset = SimulatedDataset(**data, simulation=dict(splits=dict(train=3), scene=TINY))
    for i in range(3):
        results = dataset[i]
        assert results["nuclei_path"] == str(tmp_path / f"set/train/nuclei/{i + 1:04d}.tif")
        cells, nuclei = results["gt_layers"].to_masks(), results["gt_nuclei"].to_masks()
        assert len(cells) == len(nuclei) == len(results["eval_nuclei"]) > 0
        assert (nuclei <= cells).all() and nuclei.any((1, 2)).any()
        assert np.array_equal(rle.decode(results["eval_nuclei"], (48, 64)), nuclei)
        assert np.array_equal(
            read_label_layers(results["nuclei_path"]).layers, results["gt_nuclei"].layers
        ), "ids as in the file"
    assert "nuclei_path" not in SimulatedDataset(**dict(data, nuclei=False)).get_data_info(0)


def test_a_set_without_nuclei_is_one_line(tmp_path):
    make_dataset(tmp_path / "set", splits=dict(train=1), scene=TINY)
    data = dict(data_root=tmp_path / "set", split="train")
    with pytest.raises(CellMMError, match="set/train has no nuclei: .*remove .*set to simulate") as info:
        SimulatedDataset(**data, nuclei=True, simulation=dict(splits=dict(train=1), scene=TINY))
    assert "\n" not in str(info.value)
    with pytest.raises(CellMMError, match="no nuclei_path: set nuclei_dir of the dataset"):
        SimulatedDataset(**data, pipeline=LOAD)[0]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_cell_without_nucleus_leaves_a_gap(tmp_path, dtype):
    ids = np.zeros((6, 8), dtype)
    ids[1, 1:3], ids[4, 5] = 1, 3
    results = loaded(tmp_path, ids)
    assert results["gt_nuclei"].areas().tolist() == [2, 0, 1]
    assert rle.area(results["eval_nuclei"]).tolist() == [2, 0, 1]
    layered = LabelLayers(ids.astype(int), num=4)  # the file notes 4, the image has 3 cells
    assert loaded(tmp_path, layered)["gt_nuclei"].areas().tolist() == [2, 0, 1]


def test_no_cells_and_no_nuclei(tmp_path):
    results = loaded(tmp_path, np.zeros((6, 8), np.uint8), num=0)
    assert len(results["gt_nuclei"]) == 0 and results["eval_nuclei"] == []


@pytest.mark.parametrize(
    "nuclei, words",
    [
        (np.full((6, 8), 4, np.uint8), "nuclei.tif holds the id 4, but its image has no cell of that number"),
        (np.zeros((5, 8), np.uint8), r"nuclei.tif is \(5, 8\) pixels .* a.tif \(6, 8\)"),
        (np.full((6, 8), -1, np.int16), "nuclei.tif: label -1 is negative"),
        (np.ones((2, 6, 8), np.uint8), "nuclei.tif: label 1 .* on 2 layers"),
        (np.zeros((6, 8, 3), np.uint8), "nuclei.tif is a colour image"),
        (np.full((6, 8), 0.5, np.float32), "nuclei.tif: it holds fractions"),
    ],
)
def test_files_that_are_no_nuclei(tmp_path, nuclei, words):
    with pytest.raises(CellMMError, match=words):
        loaded(tmp_path, nuclei)


@pytest.fixture
def messages(monkeypatch):
    """What LoadNuclei logs, as if nothing had been warned of in this process."""
    logged = []
    monkeypatch.setattr(load_nuclei, "print_log", lambda text, **_: logged.append(text))
    monkeypatch.setattr(load_nuclei.LoadNuclei, "warned", False)
    return logged


def in_a_row(*numbers):
    """Nuclei of these numbers, in places 1, 2, ... of four cells side by side, 2 px wide."""
    ids = np.zeros((6, 8), np.uint8)
    for place, number in enumerate(numbers):
        ids[2:4, 2 * place : 2 * place + 2] = number
    return ids


CELLS = LabelLayers(np.repeat([[1, 1, 2, 2, 3, 3, 4, 4]], 6, 0), num=4)


def test_nuclei_numbered_otherwise_than_their_cells_are_refused(tmp_path, messages):
    words = "nuclei.tif: 3 of 4 nuclei lie outside the cell of their number: number nuclei like"
    with pytest.raises(CellMMError, match=words) as info:
        loaded(tmp_path, in_a_row(2, 3, 1, 4), num=4, cells=CELLS)
    assert "\n" not in str(info.value) and not messages
    loaded(tmp_path, in_a_row(1, 2, 3, 4), num=4, cells=CELLS)
    assert not messages


def test_some_nuclei_outside_of_their_cells_are_warned_of_once(tmp_path, messages):
    for _ in range(2):
        results = loaded(tmp_path, in_a_row(2, 1, 3, 4), num=4, cells=CELLS)
        assert results["gt_nuclei"].areas().tolist() == [4] * 4, "kept as they are"
    (message,) = messages
    assert "nuclei.tif: 2 of 4 nuclei lie outside the cell of their number" in message
    assert "learned where they lie" in message


@pytest.mark.parametrize("last", [9, 40000])
def test_numbers_of_label_images_with_gaps_are_kept(tmp_path, last):
    """The cells 2, 5, 7 and ``last`` of the label image become 1 to 4; 7 has no nucleus."""
    numbers = np.array([0, 2, 5, 7, last])
    tifffile.imwrite(tmp_path / "cells.tif", numbers[CELLS.layers].astype(np.uint16))
    path = str(tmp_path / "cells.tif")
    cells = read_label_layers(path)
    nuclei = in_a_row(2, 5, 0, 0).astype(np.uint16)
    nuclei[2:4, 6:8] = last
    results = loaded(tmp_path, nuclei, cells=cells, label_path=path)
    assert np.array_equal(results["gt_nuclei"].layers[0, 2], [1, 1, 2, 2, 0, 0, 4, 4])
    assert len(results["gt_nuclei"]) == 4
    nuclei[0, 0] = 3
    with pytest.raises(CellMMError, match="holds the id 3, but its image has no cell of that number"):
        loaded(tmp_path, nuclei, cells=cells, label_path=path)


def test_label_files_that_note_their_number_of_cells(tmp_path):
    """Cell 2 of 4 is empty: it keeps its number."""
    cells = LabelLayers(np.where(CELLS.layers == 2, 0, CELLS.layers), num=4)
    write_layered_tiff(tmp_path / "cells.tif", cells)
    path = str(tmp_path / "cells.tif")
    results = loaded(tmp_path, in_a_row(1, 0, 3, 4), cells=read_label_layers(path), label_path=path)
    assert results["gt_nuclei"].areas().tolist() == [4, 0, 4, 4]


def test_a_wrong_place_in_the_pipeline():
    for results in ({}, dict(gt_layers=LabelLayers.empty(4, 4), img_shape=(4, 4), ori_shape=(8, 8))):
        with pytest.raises(CellMMError, match="right after LoadCells"):
            build(type="LoadNuclei")(results)


def scene(num=9, size=(40, 48), seed=0):
    """Cells are squares with their nucleus, 4 x 4 px, in the middle; every third has none."""
    rng = np.random.default_rng(seed)
    cells, nuclei = np.zeros((2, num, *size), bool)
    for i in range(num):
        y, x = rng.integers(0, size[0] - 12), rng.integers(0, size[1] - 12)
        cells[i, y : y + 12, x : x + 12] = True
        nuclei[i, y + 4 : y + 8, x + 4 : x + 8] = i % 3 < 2
    return dict(
        img=rng.random((*size, 2)).astype(np.float32),
        img_path="a.tif",
        img_shape=size,
        gt_layers=LabelLayers.from_masks(cells),
        gt_nuclei=LabelLayers.from_masks(nuclei),
        gt_labels=np.arange(num),
        gt_ignore=np.zeros(num, bool),
        gt_areas=np.full(num, 144.0),
        rng=np.random.default_rng(seed),
    )


MOVES = [
    dict(type="CropRegion", y0=3, x0=5, y1=33, x1=31),
    dict(type="ResizeTo", size=(31, 57)),
    dict(type="PadTo", size=(50, 50), divisor=16),
    dict(type="MirrorPad", top_left=4, bottom_right=7),
    dict(type="RandomWarp", size=(30, 31), elastic_magnitude=2, scale=(0.8, 1.2)),
    dict(type="Albumentations", transforms=[dict(type="Affine", rotate=(30, 60), p=1.0)]),
    dict(type="Albumentations", transforms=[dict(type="RandomCrop", height=20, width=20)], min_area=30),
]


@pytest.mark.parametrize("config", MOVES, ids=lambda config: config["type"])
@pytest.mark.parametrize("num", [9, 300])
def test_nuclei_move_as_if_they_were_cells_of_their_own(config, num):
    before = scene(num)
    alone = {key: value for key, value in scene(num).items() if key != "gt_nuclei"}
    nuclei_as_cells = dict(alone, gt_layers=before["gt_nuclei"], rng=np.random.default_rng(0))
    after, alone = build(**config)(before), build(**config)(alone)
    assert np.array_equal(after["gt_layers"].layers, alone["gt_layers"].layers)
    assert np.array_equal(after["img"], alone["img"])
    assert np.array_equal(after["gt_labels"], alone["gt_labels"])
    expected = build(**dict(config, **({"min_area": 1} if "min_area" in config else {})))(nuclei_as_cells)
    masks = np.zeros((num, *after["img_shape"]), bool)
    masks[expected["gt_labels"]] = expected["gt_layers"].to_masks()[: len(expected["gt_labels"])]
    assert len(after["gt_nuclei"]) == len(after["gt_layers"]) == len(after["gt_labels"])
    assert np.array_equal(after["gt_nuclei"].to_masks(), masks[after["gt_labels"]])


def test_a_dropped_cell_takes_its_nucleus_along_by_hand():
    results = dict(
        img=np.zeros((2, 6, 1), np.float32),
        gt_layers=LabelLayers(np.array([[1, 1, 2, 2, 3, 3]] * 2)),
        gt_nuclei=LabelLayers(np.array([[0, 1, 0, 0, 3, 0]] * 2), num=3),
        gt_labels=np.array([7, 8, 9]),
    )
    done = build(type="CropRegion", y0=0, x0=2, y1=2, x1=6)(results)
    assert done["gt_labels"].tolist() == [8, 9]
    assert done["gt_layers"].layers.tolist() == [[[1, 1, 2, 2]] * 2]
    assert done["gt_nuclei"].layers.tolist() == [[[0, 0, 2, 0]] * 2] and len(done["gt_nuclei"]) == 2
