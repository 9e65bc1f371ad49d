"""The config that is written: it passes the check of configs, and nothing of the user's is lost."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from cellmm.config.check import check_config
from cellmm.config.load import load_config
from cellmm.datasets import AnnotatedFolderDataset
from cellmm.errors import CellMMError
from cellmm.own_data import MODELS, find_prepared, prepare, stand_ins, start_model, starts_from
from cellmm.results import Instances
from cellmm.results.writers import GeoJSONWriter
from cellmm.simulation import simulate_scene
from cellmm.zoo import weights_of


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> Path:
    """Stand-ins for folders of annotated images, by kind."""
    root = tmp_path_factory.mktemp("folders")
    for kind in stand_ins.KINDS:
        stand_ins.simulate_folder(root / kind, kind, images=4, size=128)
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
    assert cfg.model.get("calibration") is None  # that of the shipped weights is not theirs
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
    shutil.copytree(folders / "film", folder)
    path = prepare(folder, say=lambda line: None)
    assert path == tmp_path / "mine_cellmm/config.py" == find_prepared(folder)
    assert str(tmp_path) not in path.read_text()
    before = {file: file.read_bytes() for file in folder.iterdir()}
    moved = tmp_path.rename(tmp_path.with_name("moved"))
    assert Path(load_config(moved / "mine_cellmm/config.py").data_root).resolve() == moved / "mine"
    assert {file.name for file in (moved / "mine").iterdir()} == {file.name for file in before}


def test_an_earlier_config_is_kept(folders, tmp_path):
    path, _ = written(folders / "film", tmp_path)
    path.write_text("mine = 1\n")
    again, lines = written(folders / "film", tmp_path)
    kept = list(tmp_path.glob("out/earlier/*/config.py"))
    assert again == path and [file.read_text() for file in kept] == ["mine = 1\n"]
    assert any(str(kept[0].parent) in line for line in lines)
    assert written(folders / "film", tmp_path)[0].read_text() == path.read_text()


def test_few_images_leave_out_what_they_cannot_do(folders, tmp_path):
    for images, has in ((1, (False, False)), (2, (False, True))):
        folder = tmp_path / f"{images}"
        stand_ins.simulate_folder(folder, "fiji", images=images, size=96)
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


def test_one_of_several_kinds_of_annotations(tmp_path):
    folder = tmp_path / "both"
    scenes = [simulate_scene(stand_ins.scene_of(96, 0.0), np.random.default_rng(i)) for i in range(3)]
    stand_ins.fiji(folder, iter(scenes))
    for number, scene in enumerate(scenes, 1):
        path = folder / f"phase/dish_{number:02d}.geojson"
        GeoJSONWriter("annotation").write(path, Instances.of_layers(scene.cells), None)
    with pytest.raises(CellMMError, match="choose with layout='"):
        written(folder, tmp_path)
    path, lines = written(folder, tmp_path, layout="Fiji ROIs")
    cfg = load_config(path)
    assert cfg.train_dataloader.dataset.layout == cfg.test_dataloader.dataset.layout == "Fiji ROIs"
    assert "Fiji ROIs" in lines[0]


def test_channels_in_files_of_their_own(tmp_path):
    """`cellmm predict` takes an image per file, so the last line is Python."""
    folder = tmp_path / "planes"
    images, annotations = [], []
    for number in range(3):
        scene = simulate_scene(stand_ins.scene_of(96, 0.0), np.random.default_rng(number))
        names = [f"{number}_low.tif", f"{number}_high.tif"]
        for name, plane in zip(names, scene.brightfield, strict=True):
            stand_ins.save_tiff(folder / name, plane)
        images.append(dict(id=number, file_names=names, height=96, width=96))
        annotations += [
            dict(image_id=number, category_id=1, segmentation=mask, area=1, bbox=[0, 0, 1, 1], iscrowd=0)
            for mask in scene.cells.to_rles()
        ]
    annotations = [dict(id=i) | annotation for i, annotation in enumerate(annotations, 1)]
    content = dict(images=images, annotations=annotations, categories=[dict(id=1, name="cell")])
    (folder / "cells.json").write_text(json.dumps(content))
    path, lines = written(folder, tmp_path)
    assert load_config(path).model.data_preprocessor.in_channels == 2
    assert lines[-1].startswith(f"CellInferencer({str(tmp_path / 'out/training')!r}).predict([")
    assert "_low.tif" in lines[-1] and "_high.tif" in lines[-1]


def test_images_without_cells_are_allowed_where_there_are_some(tmp_path):
    folder = tmp_path / "mine"
    stand_ins.simulate_folder(folder, "qupath", images=3, size=96)
    stand_ins.save_png(folder / "empty.png", np.full((96, 96, 3), 200, np.uint8))
    (folder / "empty.geojson").write_text('{"type": "FeatureCollection", "features": []}')
    path, lines = written(folder, tmp_path)
    assert load_config(path).val_dataloader.dataset.allow_empty
    assert any(line == "without cells: 1: empty" for line in lines)


def test_a_config_among_the_images_is_not_run(folders, tmp_path):
    """Images are data, from anybody."""
    folder = tmp_path / "mine"
    shutil.copytree(folders / "film", folder)
    (folder / "config.py").write_text("raise SystemExit('ran')\n")
    assert find_prepared(folder) is None


@pytest.mark.parametrize("name", ["cell 1 ", " cell", "cell\x1c1", "cell\u20281"])
def test_names_with_spaces_at_their_ends_are_found_again(tmp_path, name):
    folder = tmp_path / "mine"
    stand_ins.simulate_folder(folder, "qupath", images=1, size=96)
    for path in list(folder.rglob("*.*")):
        path.rename(path.with_name(name + path.suffix))
    written(folder, tmp_path)
    names = tmp_path / "out/train.txt"
    for end in ("\n", "\r\n"):
        names.write_bytes(f"{name}{end}{end}".encode())
        data = AnnotatedFolderDataset(data_root=folder, split_file=names)
        assert [Path(info["img_path"]).stem for info in map(data.get_data_info, range(len(data)))] == [name]


def test_folders_without_validation_say_what_follows(tmp_path):
    """The config does not say that there are too few images: it is the user's choice."""
    folder = tmp_path / "mine"
    for name in ("train", "test"):
        stand_ins.simulate_folder(folder / name, "qupath", images=3, size=96)
    path, lines = written(folder, tmp_path)
    said = (
        "there is no folder for validation: nothing is used for validation, so no best checkpoint is chosen"
    )
    text = path.read_text()
    assert said in lines and said in " ".join(text.replace("\n#", "").split())
    assert "too few" not in text and load_config(path).get("val_dataloader") is None


REPEATED = """_base_ = ["cellmm::diskmask/nuclei"]
inner = {{_base_.train_dataloader.dataset}}
train_dataloader = dict(dataset=dict(_delete_=True, type="RepeatDataset", times=2, dataset=inner))
"""
WITHOUT_LOADING = """_base_ = ["cellmm::diskmask/nuclei"]
train_dataloader = dict(dataset=dict(pipeline=[dict(type="LoadCells"), dict(type="PackCellInputs")]))
"""
NOT_TRAINED = '_base_ = ["cellmm::diskmask/nuclei"]\ntrain_dataloader = None\n'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (REPEATED, "its RepeatDataset has no pipeline of its own, .*trained on a single dataset$"),
        (NOT_TRAINED, "its training has no pipeline of its own"),
        (WITHOUT_LOADING, "its pipeline has no LoadImage; take a model that has$"),
    ],
)
def test_a_model_whose_images_are_not_known_is_no_start(tmp_path, text, says):
    (tmp_path / "config.py").write_text(text)
    shutil.copy(weights_of("nuclei"), tmp_path / "iter_1.pth")
    with pytest.raises(CellMMError, match=says):
        start_model(str(tmp_path))
