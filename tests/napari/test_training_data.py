"""Corrected cells are saved so that cellmm reads the same cells again."""

import sys

import numpy as np
import pytest
import tifffile

from cellmm.commands import cli, train
from cellmm.errors import CellMMError
from cellmm.io.annotations import find_reader, to_rle
from cellmm.io.layered_tiff import read_label_layers
from cellmm.io.sources import open_image
from cellmm.napari.fine_tune import FineTuning, command, work_dir_for
from cellmm.napari.training_data import FORMATS, save_training_data
from cellmm.structures import LabelLayers, rle

SHAPE = 20, 30


@pytest.fixture
def cells():
    """Two that overlap, and one with a hole."""
    masks = np.zeros((3, *SHAPE), bool)
    masks[0, 1:9, 1:9] = masks[1, 6:12, 6:12] = masks[2, 10:18, 16:26] = True
    masks[2, 12:14, 20:22] = False
    return LabelLayers.from_masks(masks)


def read_back(path):
    if path.suffix == ".tif":
        return read_label_layers(path).to_masks()
    (annotation,) = find_reader(path).read(path)
    return rle.decode([to_rle(cell, SHAPE) for cell in annotation.cells])


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("channels", [None, 2, 3])
def test_both_formats_keep_every_pixel(kind, channels, cells, tmp_path):
    shape = SHAPE if channels is None else (*SHAPE, channels)
    image = np.random.default_rng(0).integers(0, 2**12, shape).astype(np.uint16)
    target, annotation = save_training_data(tmp_path, "a", image, cells, kind)
    assert np.array_equal(open_image(target).read_all(), image.reshape(*SHAPE, -1))
    masks = {mask.tobytes() for mask in read_back(annotation).astype(bool)}
    assert masks == {mask.tobytes() for mask in cells.to_masks()}


def test_three_grey_channels_are_not_saved_as_rgb(cells, tmp_path):
    image = np.random.default_rng(0).integers(0, 255, (*SHAPE, 3)).astype(np.uint8)
    for name, rgb, axes, photometric in (("grey", False, "CYX", 1), ("rgb", True, "YXS", 2)):
        for _ in range(2):  # the second time, it is the image that is there
            target, _ = save_training_data(tmp_path, name, image, cells, rgb=rgb)
        with tifffile.TiffFile(target) as file:
            assert (file.series[0].axes, file.pages[0].photometric) == (axes, photometric)
        assert np.array_equal(open_image(target).read_all(), image)


def test_saving_again_replaces_the_annotation_only(cells, tmp_path):
    image = np.arange(600, dtype=np.uint16).reshape(SHAPE)
    _, annotation = save_training_data(tmp_path, "a", image, cells)
    save_training_data(tmp_path, "a", image, cells.select([0]))
    assert len(read_label_layers(annotation)) == 1
    with pytest.raises(CellMMError, match="a.tif is another image: rename the layer"):
        save_training_data(tmp_path, "a", image + 1, cells)
    with pytest.raises(CellMMError, match="annotates this image already"):
        save_training_data(tmp_path, "a", image, cells, "Fiji ROIs")
    with pytest.raises(CellMMError, match="a: cells of"):
        save_training_data(tmp_path, "a", image[:5], cells)
    assert len(read_label_layers(annotation)) == 1 and np.array_equal(
        tifffile.imread(tmp_path / "images/a.tif"), image
    )


def test_an_image_without_cells_is_training_data_too(tmp_path):
    _, annotation = save_training_data(tmp_path, "a", np.zeros(SHAPE, np.uint8), LabelLayers.empty(*SHAPE))
    assert len(read_label_layers(annotation)) == 0


def test_the_command_of_fine_tuning(monkeypatch, tmp_path):
    """Words that `cellmm train` takes, or a line that says that it does not."""

    def refuse(argv):
        raise SystemExit(2)

    monkeypatch.setattr(train, "parse_args", refuse)
    with pytest.raises(CellMMError, match="has no --from and --minutes"):
        command(tmp_path, "nuclei", 10, tmp_path / "w")
    monkeypatch.setattr(train, "parse_args", list)
    words = command(tmp_path, "nuclei", 10, tmp_path / "w")
    assert words[0] == sys.executable and words[3:6] == ["train", str(tmp_path), "--from"]
    assert words[6:] == ["nuclei", "--minutes", "10", "--work-dir", str(tmp_path / "w")]


def test_a_training_says_what_it_does_and_how_it_ended():
    run = FineTuning([sys.executable, "-c", "print('one'); print(); print('two')"])
    assert list(run.lines()) == ["one", "two"]
    run = FineTuning([sys.executable, "-c", "print('no data'); raise SystemExit(3)"])
    with pytest.raises(CellMMError, match="ended with status 3: no data"):
        list(run.lines())
    run = FineTuning([sys.executable, "-c", "import time; print('begun', flush=True); time.sleep(60)"])
    lines = run.lines()
    assert next(lines) == "begun"
    run.stop()
    with pytest.raises(CellMMError, match="was stopped"):
        list(lines)


def test_every_training_has_a_folder_of_its_own(tmp_path):
    assert work_dir_for(tmp_path / "mine") == tmp_path / "mine_fine_tuned"
    (tmp_path / "mine_fine_tuned").mkdir()
    assert work_dir_for(tmp_path / "mine") == tmp_path / "mine_fine_tuned_2"


def test_cellmm_train_takes_the_command(tmp_path):
    words = command(tmp_path, "nuclei", 10, tmp_path / "w")
    args = train.parse_args(words[4:])
    assert (args.config, args.start, args.minutes) == (str(tmp_path), "nuclei", 10)


@pytest.mark.parametrize("kind", FORMATS)
def test_cellmm_init_reads_what_was_saved(kind, tmp_path, capsys):
    for number in range(4):
        rng = np.random.default_rng(number)
        masks = np.zeros((2, 64, 64), bool)
        masks[0, 10:30, 10:30] = masks[1, 25:45, 25:50] = True
        image = rng.integers(0, 99, (64, 64)).astype(np.uint16) + 500 * masks.any(0).astype(np.uint16)
        save_training_data(tmp_path / "mine", f"im{number}", image, LabelLayers.from_masks(masks), kind)
    assert cli.main(["init", str(tmp_path / "mine"), "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "4 annotated images" in said and "cells: 8, 2 to 2 per image" in said, said
