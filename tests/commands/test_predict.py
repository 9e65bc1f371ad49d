"""`cellmm predict` from the command line to the files, with a stand-in model that thresholds at 100."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
import torch
from mmengine.model import BaseModel
from mmengine.structures import InstanceData
from torch import nn

from cellmm.commands import cli
from cellmm.commands.predict_options import parse_args, tile_options
from cellmm.datasets import CellCocoDataset
from cellmm.errors import CellMMError
from cellmm.registry import MODELS
from cellmm.results.run_folder import MARK, PARTS, RUN
from cellmm.structures import rle

CONFIG = """
default_scope = 'cellmm'
preprocessor = dict(type='CellDataPreprocessor', in_channels=2, divisor=1)
model = dict(type='Threshold', data_preprocessor=preprocessor)
pipeline = [dict(type='LoadImage'), dict(type='LoadCells'), dict(type='PackCellInputs')]
test_dataloader = dict(
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='CellCocoDataset', ann_file='cells.json', pipeline=pipeline),
)
test_cfg = dict()
test_evaluator = dict(type='CellCocoMetric')
"""


class Threshold(BaseModel):
    """The bright pixels of each channel are one cell; the second scores 0.4."""

    def __init__(self, data_preprocessor):
        super().__init__(MODELS.build(data_preprocessor))
        self.level = nn.Parameter(torch.zeros(()))

    def forward(self, inputs, data_samples=None, mode="tensor"):
        for image, sample in zip(inputs, data_samples, strict=True):
            sample.pred_instances = InstanceData(
                masks=rle.encode((image > self.level).numpy()),
                scores=torch.tensor([0.9, 0.4]),
                labels=torch.zeros(2, dtype=torch.long),
            )
        return data_samples


@pytest.fixture(autouse=True)
def registered():
    MODELS.register_module(module=Threshold, force=True)
    yield
    MODELS.module_dict.pop("Threshold")


@pytest.fixture
def predict(tmp_path):
    """``predict(*arguments) -> status``, run through the ``cellmm`` command; results go to ``out/``."""
    (tmp_path / "config.py").write_text(CONFIG)
    torch.save(dict(state_dict=dict(level=torch.tensor(100.0))), tmp_path / "w.pth")

    def run(*arguments):
        options = ["--config", tmp_path / "config.py", "--checkpoint", tmp_path / "w.pth"]
        return cli.main(
            ["predict", *map(str, [*arguments, *options, "--out", tmp_path / "out", "--device", "cpu"])]
        )

    return run


def write_planes(path):
    """Two planes, 12 x 16; the two cells have 30 and 24 pixels and share 12."""
    planes = np.zeros((2, 12, 16), np.uint16)
    planes[0, 2:8, 3:8] = 900
    planes[1, 5:9, 4:10] = 900
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, planes, metadata={"axes": "CYX"})
    return path


def read(tmp_path):
    return json.loads((tmp_path / "out" / "cells.json").read_text())


def written(tmp_path):
    """What a user looks for: not the records of the run."""
    out = tmp_path / "out"
    files = (path for path in out.rglob("*") if path.is_file() and path.name not in (MARK, RUN))
    return sorted(path.relative_to(out).as_posix() for path in files if PARTS not in path.parts)


def test_folder_to_json_and_overlays(predict, tmp_path, capsys):
    for name in ("b.tif", "a.tif", "day2/a.tif"):
        write_planes(tmp_path / "images" / name)
    assert predict(tmp_path / "images", "--batch-size", 2) == 0
    assert written(tmp_path) == ["cells.json", "overlays/a.png", "overlays/b.png", "overlays/day2/a.png"]
    content = read(tmp_path)
    assert [image["file_name"] for image in content["images"]] == ["a.tif", "b.tif", "day2/a.tif"]
    assert [(cell["image_id"], cell["area"]) for cell in content["annotations"]] == [
        *[(1, 30), (1, 24)],
        *[(2, 30), (2, 24)],
        *[(3, 30), (3, 24)],
    ]
    masks = rle.decode([cell["segmentation"] for cell in content["annotations"][:2]])
    assert masks.all(0).sum() == 12  # 3 rows x 4 columns are in both
    assert [cell["score"] for cell in content["annotations"][:2]] == pytest.approx([0.9, 0.4])
    picture = cv2.imread(str(tmp_path / "out" / "overlays" / "a.png"))
    assert picture.shape == (48, 64, 3)
    shown = capsys.readouterr()
    assert "predict: 100%" in shown.err
    what = "6 cells with a score of 0.3 or more in 3 images"
    assert shown.out.splitlines()[-1] == f"{what}: {tmp_path / 'out'}"


def test_results_can_be_read_as_a_dataset(predict, tmp_path):
    write_planes(tmp_path / "images" / "a.tif")
    assert predict(tmp_path / "images", "--no-overlays") == 0
    dataset = CellCocoDataset(data_root=tmp_path, ann_file="out/cells.json", img_dir="images")
    assert len(dataset) == 1 and len(dataset.get_data_info(0)["instances"]) == 2


def test_score_threshold_and_no_overlays(predict, tmp_path):
    path = write_planes(tmp_path / "a.tif")
    assert predict(path, "--score-thr", 0.5, "--no-overlays") == 0
    assert written(tmp_path) == ["cells.json"]
    assert [cell["area"] for cell in read(tmp_path)["annotations"]] == [30]
    assert predict(path, "--score-thr", 0.95) == 0
    assert read(tmp_path)["annotations"] == [] and len(read(tmp_path)["images"]) == 1


@pytest.mark.parametrize(
    ("options", "changes"),
    [
        ([], {}),
        (["--tile", "512"], {"model.tile": 512, "model.tile_overlap": 128}),
        (["--tile", "512", "--tile-overlap", "0"], {"model.tile": 512, "model.tile_overlap": 0}),
        (["--tile-overlap", "64"], "give --tile too"),
        (["--tile", "64", "--tile-overlap", "64"], "--tile 64 --tile-overlap 64: 0 to half"),
        (["--tile", "0"], {"model.tile": None, "model.tile_overlap": 0}),
        (["--tile", "0", "--tile-overlap", "8"], "--tile 0 --tile-overlap 8: 0 to half"),
        (["--tile", "-1"], "--tile -1 --tile-overlap -1: 0 to half"),
    ],
)
def test_tiles_on_the_command_line(options, changes):
    args = parse_args(["a.tif", "--config", "a.py", "--checkpoint", "a.pth", "--out", "o", *options])
    if isinstance(changes, dict):
        assert tile_options(args) == changes
    else:
        with pytest.raises(CellMMError, match=changes):
            tile_options(args)


def test_bad_files_are_a_line_each_and_status_1(predict, tmp_path, capsys):
    for name in "abc":
        write_planes(tmp_path / "images" / f"{name}.tif")
    (tmp_path / "images" / "a.tif").write_bytes(b"no image")
    tifffile.imwrite(tmp_path / "images" / "c.tif", np.zeros((12, 16), np.uint8))
    assert predict(tmp_path / "images") == 1
    assert [image["file_name"] for image in read(tmp_path)["images"]] == ["b.tif"]
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("cellmm predict:")]
    assert len(lines) == 2
    assert "a.tif cannot be read" in lines[0] and "c.tif: 1 channels" in lines[1]


def test_nothing_is_written_where_no_file_can_be_used(predict, tmp_path):
    (tmp_path / "a.tif").write_bytes(b"no image")
    assert predict(tmp_path / "a.tif") == 1
    assert not (tmp_path / "out").exists()


def test_missing_input_is_one_line(predict, tmp_path, capsys):
    assert predict(tmp_path / "absent") == 1
    assert capsys.readouterr().err == f"cellmm predict: {tmp_path / 'absent'}: no such file or folder\n"


def test_overlays_of_an_earlier_run_are_not_images(predict, tmp_path):
    write_planes(tmp_path / "out" / "a.tif")  # results go where the images are
    assert predict(tmp_path / "out") == 0
    assert predict(tmp_path / "out") == 0
    assert [image["file_name"] for image in read(tmp_path)["images"]] == ["a.tif"]


def test_a_model_without_maps_cannot_write_them(predict, tmp_path, capsys):
    assert predict(write_planes(tmp_path / "a.tif"), "--maps") == 1
    line = "cellmm predict: --maps: the model gives no maps, it has no SemanticHead; leave --maps out"
    assert line in capsys.readouterr().err.splitlines()
    assert not (tmp_path / "out").exists()


def test_a_model_that_gives_nothing(predict, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(Threshold, "forward", lambda self, inputs, data_samples, mode: data_samples)
    path = write_planes(tmp_path / "a.tif")
    assert predict(path) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith(f"cellmm predict: {path}: the model gives neither cells nor maps; ")


def test_what_an_earlier_run_left_is_put_away(predict, tmp_path, capsys):
    """Nothing old looks new, and nothing is lost."""
    images, out = tmp_path / "images", tmp_path / "out"
    write_planes(images / "a.tif")
    assert predict(images) == 0
    first = (out / "cells.json").read_bytes()
    (images / "a.tif").rename(images / "b.tif")
    for _ in range(2):
        capsys.readouterr()
        assert predict(images) == 0
        line = next(line for line in capsys.readouterr().err.splitlines() if "earlier run" in line)
        folder = Path(line.rpartition(" ")[2])
        assert folder.parent == out / "earlier"
    assert [image["file_name"] for image in read(tmp_path)["images"]] == ["b.tif"]
    assert len(list((out / "earlier").iterdir())) == 2
    new = [name for name in written(tmp_path) if not name.startswith("earlier/")]
    assert new == ["cells.json", "overlays/b.png"]
    oldest = next(path for path in (out / "earlier").rglob("a.png")).parents[1]
    assert (oldest / "cells.json").read_bytes() == first
    write_planes(out / "c.tif")  # results beside the images
    assert predict(out) == 0
    assert [image["file_name"] for image in read(tmp_path)["images"]] == ["c.tif"]


@pytest.mark.parametrize("folder", ["overlays", "maps"])
def test_an_input_where_results_go_is_refused_and_kept(predict, tmp_path, capsys, folder):
    path = write_planes(tmp_path / "out" / folder / "a.tif")
    before = path.read_bytes()
    (tmp_path / "link").symlink_to(tmp_path / "out")
    for given in (path, path.parent, tmp_path / "link" / folder / "a.tif"):
        assert predict(given) == 1
        assert capsys.readouterr().err == (
            f"cellmm predict: {given} is in {path.parent}, where results go: name another folder with --out\n"
        )
    assert path.read_bytes() == before and written(tmp_path) == [f"{folder}/a.tif"]


@pytest.mark.parametrize("folder", ["overlays", "maps"])
def test_a_folder_of_the_users_is_not_taken_for_results(predict, tmp_path, capsys, folder):
    out = tmp_path / "out"
    write_planes(out / "a.tif")
    path = write_planes(out / folder / "b.tif")
    assert predict(out) == 1
    assert capsys.readouterr().err == (
        f"cellmm predict: {path.parent} holds files that are not of an earlier `cellmm predict`: name "
        "another folder with --out\n"
    )
    assert written(tmp_path) == ["a.tif", f"{folder}/b.tif"]


def test_results_beside_the_images_are_counted(predict, tmp_path, capsys):
    out = tmp_path / "out"
    write_planes(out / "a.tif")
    for _ in range(2):
        capsys.readouterr()
        assert predict(out) == 0
        (out / "cells.json").unlink()  # as of a run that was killed
    line = f"cellmm predict: results of earlier runs in {out} are left out, 1: {out}/overlays/a.png"
    assert line in capsys.readouterr().err.splitlines()


def test_label_files_beside_images_are_left_out(predict, tmp_path, capsys):
    for name in ("a.tif", "b.tif", "b_masks.tif", "b_cp_masks.png", "b_seg.tif", "c_masks.tif"):
        write_planes(tmp_path / "images" / name)
    assert predict(tmp_path / "images", "--no-overlays") == 0
    assert [image["file_name"] for image in read(tmp_path)["images"]] == ["a.tif", "b.tif", "c_masks.tif"]
    line = "cellmm predict: label files beside their images are left out, 3: b_cp_masks.png, b_masks.tif, "
    assert f"{line}b_seg.tif" in capsys.readouterr().err.splitlines()


def test_weights_may_be_the_folder_of_a_training(tmp_path):
    (tmp_path / "iter_20.pth").touch()
    args = parse_args(["a.tif", "--config", "a.py", "--checkpoint", str(tmp_path), "--out", "o"])
    assert args.checkpoint == str(tmp_path / "iter_20.pth")
