"""The config that is written: it passes the check of configs, and nothing of the user's is lost."""

from pathlib import Path

import pytest

from cellmm.config.check import check_config
from cellmm.config.load import load_config
from cellmm.errors import CellMMError
from cellmm.own_data import MODELS, find_prepared, prepare, start_model, starts_from


@pytest.fixture(scope="module")
def folders(load_tool, tmp_path_factory) -> Path:
    """Stand-ins for folders of annotated images, by kind."""
    tool, root = load_tool("simulate_folders"), tmp_path_factory.mktemp("folders")
    for kind in (*tool.KINDS, "film"):
        tool.simulate_folder(root / kind, kind, images=4, size=128)
    return root


def written(folder: Path, tmp_path: Path, **options) -> tuple[Path, list[str]]:
    lines: list[str] = []
    return prepare(folder, tmp_path / "out", say=lines.append, **options), lines


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("kind", ["fiji", "qupath", "worms", "film"])
def test_the_config_is_in_order(folders, tmp_path, kind, model):
    path, lines = written(folders / kind, tmp_path, model=model)
    cfg = load_config(path)
    check_config(cfg)
    for name in ("train", "val", "test"):
        dataset = cfg[f"{name}_dataloader"].dataset
        assert Path(dataset.split_file) == tmp_path / f"out/{name}.txt"
        assert Path(dataset.data_root).resolve() == folders / kind
        assert set(dataset) <= {"type", "data_root", "split_file", "pipeline", "test_mode"}
    assert cfg.work_dir == str(tmp_path / "out/training")
    assert cfg.model.data_preprocessor.in_channels == (3 if kind == "qupath" else 1)
    assert max(map(len, path.read_text().splitlines())) <= 110
    assert str(tmp_path.parent) not in path.read_text().replace(str(folders), "")
    assert lines[-4] == "next:"


@pytest.mark.parametrize("name", ["nuclei", "cells-simulated"])
def test_a_model_to_start_from_keeps_its_network(folders, tmp_path, name):
    path, lines = written(folders / "qupath", tmp_path, start=name)
    cfg = load_config(path)
    check_config(cfg)
    base = "diskmask/nuclei" if name == "nuclei" else "diskmask/brightfield_quickstart"
    assert f'_base_ = ["cellmm::{base}"]' in path.read_text()
    own, theirs = (config.model.heads.to_dict() for config in (cfg, load_config(base)))
    windows = own["instances"].pop("windows")["size"], theirs["instances"].pop("windows")["size"]
    assert own == theirs and windows[0] >= windows[1]
    steps = [
        [step for step in config.train_dataloader.dataset.pipeline if step.type == "DiskTargets"]
        for config in (cfg, load_config(base))
    ]
    assert steps[0] == steps[1]
    assert lines[-3] == f"cellmm train {path} --from {name}"


def test_a_short_training_at_a_lower_rate(folders, tmp_path):
    """The config says itself what it starts from; images come at the size that the model knows."""
    path, _ = written(folders / "qupath", tmp_path, start="nuclei")
    cfg, base = load_config(path), load_config("diskmask/nuclei")
    assert cfg.load_from == "nuclei" and starts_from(path, start_model("nuclei"))
    assert not starts_from(path, start_model("cells-simulated"))
    assert cfg.optim_wrapper.optimizer.lr == base.optim_wrapper.optimizer.lr / 2
    assert cfg.train_cfg.max_iters == cfg.param_scheduler[-1].end == 500 and cfg.train_cfg.val_interval == 100
    assert start_model("nuclei").diameter == base.diameter
    assert "invert" not in str(cfg.train_pipeline) and cfg.optim_wrapper.type == base.optim_wrapper.type


def test_beside_the_folder_the_config_moves_with_it(folders, tmp_path):
    folder = tmp_path / "mine"
    (folders / "film").copy(folder) if hasattr(Path, "copy") else _copy(folders / "film", folder)
    path = prepare(folder, say=lambda line: None)
    assert path == tmp_path / "mine_cellmm/config.py" == find_prepared(folder) == find_prepared(path.parent)
    assert str(tmp_path) not in path.read_text()
    before = {file: file.read_bytes() for file in folder.iterdir()}
    moved = tmp_path.rename(tmp_path.with_name("moved"))
    assert Path(load_config(moved / "mine_cellmm/config.py").data_root).resolve() == moved / "mine"
    assert {file.name for file in (moved / "mine").iterdir()} == {file.name for file in before}


def _copy(source: Path, target: Path) -> None:
    target.mkdir()
    for file in source.iterdir():
        (target / file.name).write_bytes(file.read_bytes())


def test_an_earlier_config_is_kept(folders, tmp_path):
    path, _ = written(folders / "film", tmp_path)
    path.write_text("mine = 1\n")
    again, lines = written(folders / "film", tmp_path)
    kept = list(tmp_path.glob("out/earlier/*/config.py"))
    assert again == path and [file.read_text() for file in kept] == ["mine = 1\n"]
    assert any(str(kept[0].parent) in line for line in lines)
    assert written(folders / "film", tmp_path)[0].read_text() == path.read_text()


def test_few_images_leave_out_what_they_cannot_do(folders, load_tool, tmp_path):
    for images, has in ((1, (False, False)), (2, (False, True))):
        folder = tmp_path / f"{images}"
        load_tool("simulate_folders").simulate_folder(folder, "fiji", images=images, size=96)
        lines: list[str] = []
        cfg = load_config(prepare(folder, say=lines.append))
        check_config(cfg)
        assert (cfg.get("val_dataloader") is not None, cfg.get("test_dataloader") is not None) == has
        assert any(line.startswith("cellmm test") for line in lines) == has[1]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (dict(model="unet"), "--model unet: choose from diskmask, sparseseunet"),
        (dict(start="nuclie"), "did you mean nuclei"),
        (dict(out="{}/inside"), "is in the folder of the images: give another one with --out"),
        (dict(out="{}"), "is in the folder of the images"),
    ],
)
def test_what_cannot_be_done_is_one_line(folders, options, says):
    folder = folders / "film"
    options = {key: value.format(folder) for key, value in options.items()}
    with pytest.raises(CellMMError, match=says):
        prepare(folder, **options, say=lambda line: None)
    assert sorted(path.name for path in folder.iterdir()) == ["film.tif", "film_labels.tif"]
    assert not folder.with_name("film_cellmm").exists()
