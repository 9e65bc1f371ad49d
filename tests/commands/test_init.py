"""`cellmm init`, and the commands that it prints, as they are typed, on folders of other programs."""

import json
import shlex
import shutil
import zipfile
from pathlib import Path

import pytest
import tifffile

from cellmm.commands.cli import main
from cellmm.commands.train import config_of, parse_args, prepare_config
from cellmm.config.load import load_config
from cellmm.datasets.folders import look_at
from cellmm.datasets.folders.contents import layout_of
from cellmm.own_data.stand_ins import simulate_folder

# of a network that is small, for few steps
TINY = [
    "--cfg-options",
    "train_cfg.max_iters=3",
    "train_cfg.val_interval=3",
    "train_dataloader.batch_size=2",
    "train_dataloader.num_workers=0",
    "train_dataloader.persistent_workers=False",
    "val_dataloader.num_workers=0",
    "val_dataloader.persistent_workers=False",
]


@pytest.fixture
def made(tmp_path, monkeypatch):
    """``made(kind)``: a folder of this kind; the current folder is another one."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    def make(kind: str) -> Path:
        folder = tmp_path / "my images"
        simulate_folder(folder, kind, images=5, size=128)
        return folder

    return make


@pytest.mark.parametrize("kind", ["fiji", "qupath", "aperio", "film", "worms"])
def test_from_a_folder_to_results(made, capsys, kind):
    folder = made(kind)
    assert main(["init", str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    commands = [shlex.split(line)[1:] for line in lines[lines.index("next:") + 1 :]]
    assert [command[0] for command in commands] == ["train", "test", "predict"]
    train, test, predict = commands
    assert main([*train, *TINY]) == 0
    assert main(test) == 0
    assert main(predict) == 0
    out = folder.with_name("my images_cellmm")
    assert json.loads((out / "training/metrics.json").read_text())["AP"] >= 0
    assert "train_dataloader" in (out / "training/config.py").read_text()
    frames = 5 if kind == "film" else 1
    results = out / "results"
    assert len(json.loads((results / "cells.json").read_text())["images"]) == frames
    assert (results / "cells.csv").read_text().startswith("image,")
    assert "<html" in (results / "report.html").read_text()
    assert len([zipfile.ZipFile(path) for path in results.glob("rois/*.zip")]) == frames
    assert all(tifffile.imread(path).shape[-2:] == (128, 128) for path in results.glob("layers/*.tif"))
    assert len(list(results.glob("layers/*.tif"))) == len(list(results.glob("overlays/*.png"))) == frames


def test_train_takes_the_folder(made, capsys):
    folder = made("film")
    assert main(["train", str(folder), *TINY]) == 0
    out = folder.with_name("my images_cellmm")
    assert "there is no config yet; `cellmm init` makes one" in capsys.readouterr().out
    assert (out / "training/iter_3.pth").is_file()
    again = ["init", str(folder), "--out", str(out / "again"), "--from", str(out / "training")]
    assert main(again) == 0
    base = out / "training/config.py"
    assert f'_base_ = ["{base}"]' in (out / "again/config.py").read_text()
    assert main(["config", str(out / "again/config.py")]) == 0
    (out / "config.py").write_text("model = 1\n")
    assert main(["train", str(folder)]) == 1
    said = capsys.readouterr()
    assert f"trains with {out / 'config.py'}" in said.out and said.err.count("\n") == 1


SHORT = [*TINY, "param_scheduler.0.end=2", "param_scheduler.1.begin=2"]


def test_a_config_that_was_written_for_another_start_is_written_anew(made, capsys):
    """It would not fit the model. Fine-tuning goes on from what the first one gave."""
    folder = made("fiji")
    out, first = folder.with_name("my images_cellmm"), folder.with_name("first")
    assert main(["init", str(folder)]) == 0
    old = (out / "config.py").read_text()
    assert main(["train", str(folder), "--from", "nuclei", "--work-dir", str(first), *SHORT]) == 0
    said = capsys.readouterr().out
    assert "was not written to start from nuclei; it is written anew, and the old one is kept" in said
    assert [path.read_text() for path in out.glob("earlier/*/config.py")] == [old]
    second = folder.with_name("second")
    assert main(["train", str(folder), "--from", str(first), "--work-dir", str(second), *SHORT]) == 0
    assert f'_base_ = ["{first / "config.py"}"]' in (out / "config.py").read_text()
    assert len(list(out.glob("earlier/*/config.py"))) == 2
    for work_dir, start in ((first, "nuclei.safetensors"), (second, str(first))):
        logs = [path.read_text() for path in work_dir.rglob("*.log")]
        assert any("training starts from all" in log and start in log for log in logs)
    assert main(["train", str(folder), "--from", "nuclei", "--launcher", "pytorch"]) == 1
    assert f"`cellmm init '{folder}' --from nuclei` writes it anew" in capsys.readouterr().err


def test_a_config_that_is_written_anew_keeps_its_layout(made):
    folder = made("fiji")
    layout = layout_of(look_at(folder).layout)
    assert main(["init", str(folder), "--layout", layout]) == 0
    path = config_of(parse_args([str(folder), "--from", "nuclei"]))
    dataset = load_config(path).train_dataloader.dataset
    assert dataset.layout == layout and load_config(path).load_from == "nuclei"


@pytest.mark.parametrize("beside", [True, False])
def test_images_that_came_after_init_are_named(made, tmp_path, capsys, beside):
    """Both for the folder and for the config; `cellmm init` cures it."""
    folder = made("qupath")
    out = folder.with_name("my images_cellmm" if beside else "elsewhere")
    init = ["init", str(folder)] + ([] if beside else ["--out", str(out)])
    assert main(init) == 0
    trained = str(folder) if beside else str(out / "config.py")
    capsys.readouterr()
    prepare_config(parse_args([trained]))
    assert "in no split" not in capsys.readouterr().out
    for path in [path for path in folder.rglob("*.*") if path.stem.endswith("2")]:
        shutil.copy(path, path.with_name(f"new{path.suffix}"))
    prepare_config(parse_args([trained]))
    words = f"'{folder}'" + ("" if beside else f" --out {out}")
    line = f"{folder}: annotated images in no split, not used, 1: new; `cellmm init {words}` makes new splits"
    assert line in capsys.readouterr().out.splitlines()
    assert main(init) == 0
    capsys.readouterr()
    prepare_config(parse_args([trained]))
    assert "in no split" not in capsys.readouterr().out


def test_several_processes_do_not_make_a_config(made, capsys):
    folder = made("film")
    assert main(["train", str(folder), "--launcher", "pytorch"]) == 1
    assert "run `cellmm init" in capsys.readouterr().err


def test_no_annotations(tmp_path, capsys):
    tifffile.imwrite(tmp_path / "a.tif", [[0, 1], [2, 3]])
    assert main(["init", str(tmp_path)]) == 1
    assert "no annotation" in capsys.readouterr().err
    assert main(["init", str(tmp_path / "absent")]) == 1
    assert "is not a folder" in capsys.readouterr().err


def test_the_page_shows_what_is_printed(tmp_path, capsys):
    simulate_folder(tmp_path / "data/mine", "fiji")
    assert main(["init", str(tmp_path / "data/mine")]) == 0
    printed = capsys.readouterr().out.replace(str(tmp_path), "/home/me")
    page = Path(__file__).parents[2] / "docs/how_to/own_data.md"
    assert f"```text\n{printed}```\n" in page.read_text(encoding="utf-8")
