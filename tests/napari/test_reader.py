"""The reader of results, without napari."""

import numpy as np
import pytest
import tifffile

from cellmm.errors import CellMMError
from cellmm.io.layered_tiff import write_layered_tiff
from cellmm.napari import reader
from cellmm.napari.reader import get_reader
from cellmm.results import Instances
from cellmm.results.run_folder import InputFile, Record, RunFolder
from cellmm.structures import LabelLayers, MaskRuns


@pytest.fixture
def cells():
    """Two that overlap and one apart, best first."""
    masks = np.zeros((3, 8, 10), bool)
    masks[0, 1:4, 1:4] = masks[1, 3:6, 3:6] = masks[2, 6:8, 7:10] = True
    return Instances(
        MaskRuns.from_crops(list(masks), [(0, 0)] * 3, (8, 10)),
        np.array([0.9, 0.8, 0.7], np.float32),
        np.array([0, 1, 0]),
        classes=("cell", "worm"),
        category_ids=(1, 2),
        name="a",
    )


@pytest.fixture
def run(cells, tmp_path):
    """A folder as `cellmm predict` leaves it, with the image twice."""
    folder = RunFolder(tmp_path / "results")
    folder.begin({}, [InputFile(tmp_path / f"{name}.tif", f"{name}.tif", name) for name in "ab"], ["layers"])
    for name in "ab":
        folder.write_instances(name, cells)
        folder.write_record(Record(name, name, f"{name}.tif", cells=3))
    return folder.path


def test_results_become_layers_that_keep_overlap(run, cells):
    layers = get_reader(str(run))(str(run))
    assert [kind for _, _, kind in layers] == ["labels"] * 4
    assert [arguments["visible"] for _, arguments, _ in layers] == [True, True, False, False]
    assert len({arguments["name"] for _, arguments, _ in layers[:2]}) == 2
    masks = LabelLayers(np.stack([data for data, _, _ in layers[:2]]), num=3).to_masks()
    assert np.array_equal(masks, cells.to_layers().to_masks())
    for data, arguments, _ in layers[:2]:
        features = arguments["features"]
        assert features["index"].tolist() == [n for n in (1, 2, 3) if (data == n).any()]
        scores = dict(zip(features["index"].tolist(), features["score"].tolist(), strict=True))
        assert all(scores[n] == pytest.approx(cells.scores[n - 1], abs=1e-3) for n in scores)
        assert {n: ("cell", "worm", "cell")[n - 1] for n in scores} == dict(
            zip(features["index"].tolist(), features["label"].tolist(), strict=True)
        )


def test_layered_tiffs(cells, tmp_path):
    path = tmp_path / "b.ome.tif"
    write_layered_tiff(path, cells.to_layers())
    layers = get_reader([str(path)])([str(path)])
    assert [arguments["name"] for _, arguments, _ in layers] == ["b cells, layer 1", "b cells, layer 2"]
    masks = LabelLayers(np.stack([data for data, _, _ in layers])).to_masks()
    assert np.array_equal(masks, cells.to_layers().to_masks())


def test_other_files_are_left_to_other_readers(cells, tmp_path):
    tifffile.imwrite(tmp_path / "image.tif", np.zeros((4, 4), np.uint8))
    (tmp_path / "broken.tif").write_bytes(b"II*\0")
    write_layered_tiff(tmp_path / "ours.tif", cells.to_layers())
    for path in ("image.tif", "broken.tif", "absent.tif", ""):
        assert get_reader(str(tmp_path / path)) is None
    assert get_reader([str(tmp_path / "ours.tif"), str(tmp_path / "image.tif")]) is None


def test_folders_that_cannot_be_shown(run, monkeypatch):
    monkeypatch.setattr(reader, "MOST", 1)
    with pytest.raises(CellMMError, match="results of 2 files; open at most 1, or single TIFFs"):
        get_reader(str(run))(str(run))
    monkeypatch.undo()
    (run / "parts/records/b.json").unlink()
    with pytest.raises(CellMMError, match="b.tif is not finished"):
        get_reader(str(run))(str(run))
