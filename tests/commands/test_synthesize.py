"""`cellmm synthesize`: a whole set, stopped and resumed, and what is refused."""

import json
import multiprocessing
import os
import shutil
import signal

import numpy as np
import pytest
import tifffile
import torch

from cellmm.commands.cli import main as cellmm
from cellmm.commands.synthesize import parse_args
from cellmm.config.load import load_config
from cellmm.datasets import CellCocoDataset
from cellmm.io.coco_results import write_coco
from cellmm.io.layered_tiff import read_label_layers
from cellmm.registry import MODELS
from cellmm.simulation import SceneConfig, make_dataset
from cellmm.structures import to_counts
from cellmm.synthesis import open_sources, paste_field, set_folder
from cellmm.synthesis.options import field_options

SCENE = SceneConfig(size=(96, 96), pixel=1.0, cells=(3, 5), min_visible=20)
CONFIG = """
default_scope = "cellmm"
model = dict(
    type="Pix2Pix",
    data_preprocessor=dict(type="CellDataPreprocessor", in_channels=1),
    target_channels=2,
    generator=dict(widths=(3, 4, 4), dropout_levels=1),
    window=16,
)
pack = dict(type="PackImagePair", white=4095)
test_dataloader = dict(dataset=dict(type="PairedImageDataset", pipeline=[dict(type="LoadImage"), pack]))
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Annotated images in train and test, a generator in gan, the config of another model."""
    root = tmp_path_factory.mktemp("synthesize")
    make_dataset(root / "data", splits=dict(train=4, test=1), scene=SCENE, extra_modalities=True)
    for folder, suffix in (("phase", "tif"), ("layers", "tif"), ("nuclei", "tif")):  # a test image among them
        shutil.copy(root / f"data/test/{folder}/0001.{suffix}", root / f"data/train/{folder}/0004.{suffix}")
    contents = {
        name: json.loads((root / f"data/{name}/annotations.json").read_text()) for name in ("train", "test")
    }
    cells = [cell for cell in contents["train"]["annotations"] if cell["image_id"] != 4]
    tested = [cell | dict(image_id=4, id=900 + cell["id"]) for cell in contents["test"]["annotations"]]
    write_coco(root / "train.json", contents["train"] | dict(annotations=cells + tested))
    save_generator(root / "gan", CONFIG)
    return root


def save_generator(folder, config):
    """A folder as of a training, with weights that nothing trained."""
    folder.mkdir()
    (folder / "config.py").write_text(config)
    torch.manual_seed(0)
    model = MODELS.build(load_config(folder / "config.py").model)
    for name, weights in model.named_parameters():
        if name.endswith("weight"):
            weights.data *= 10  # so that images have some contrast
    torch.save(dict(state_dict=model.state_dict(), meta={}), folder / "iter_1.pth")


@pytest.fixture(scope="module")
def words(root):
    """``words(out, ...)``: the arguments of the command."""

    def words(out, *more, model="gan", phase="phase"):
        given = [root / "train.json", root / "data/train" / phase, out, "--model", root / model]
        given += ["--number", 4, "--size", 40, 50, "--cells", 2, 4, "--blur", 2, "--device", "cpu"]
        given += ["--test", root / "data/test/annotations.json", root / "data/test/phase"]
        return ["synthesize", *map(str, [*given, "--nuclei-dir", root / "data/train/nuclei", *more])]

    return words


@pytest.fixture(scope="module")
def whole(root, words):
    assert cellmm(words(root / "whole")) == 0
    return root / "whole"


def same_files(one, other):
    files = sorted(path.relative_to(one) for path in one.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(other) for path in other.rglob("*") if path.is_file())
    assert len(files) == 3 * 4 + 3
    return all((one / file).read_bytes() == (other / file).read_bytes() for file in files)


def test_every_image_is_the_translated_field_with_its_cells(root, words, whole):
    args = parse_args(words("x")[1:])
    sources = open_sources(args.ann_file, args.img_dir, args.nuclei_dir, args.test, args.first)
    model = MODELS.build(load_config(root / "gan/config.py").model).eval()
    model.load_state_dict(torch.load(root / "gan/iter_1.pth", weights_only=True)["state_dict"])
    dataset = CellCocoDataset(
        data_root=whole,
        ann_file="annotations.json",
        img_dir="images",
        nuclei_dir="nuclei",
        pipeline=[dict(type="LoadImage"), dict(type="LoadCells"), dict(type="LoadNuclei")],
    )
    assert len(dataset) == 4
    for i in range(4):
        field = paste_field(sources, i + 1, field_options(args))
        values = torch.from_numpy(field.image.clip(0, 4095).transpose(2, 0, 1) * (2 / 4095) - 1)
        padded = torch.nn.functional.pad(values, (0, 14, 0, 8), mode="replicate")[None].float()
        rng = torch.Generator().manual_seed(int(np.random.SeedSequence((0, i + 1)).generate_state(1)[0]))
        made = torch.zeros(2, 48, 64)
        for y in range(0, 48, 16):
            for x in range(0, 64, 16):
                part = np.s_[..., y : y + 16, x : x + 16]
                with torch.no_grad():
                    made[part] = torch.tanh(model.generator(padded[part], rng))[0]
        planes = tifffile.imread(whole / f"images/000{i + 1}.tif")
        expected = to_counts(made[:, :40, :50].numpy(), 4095)
        assert planes.dtype == np.uint16 and planes.std() > 1
        assert np.abs(planes.astype(int) - expected).max() <= 1  # rounding of the device
        results = dataset[i]
        layers = read_label_layers(whole / f"layers/000{i + 1}.tif")
        for cells in (layers, results["gt_layers"]):
            assert np.array_equal(cells.to_masks(), field.cells.to_masks())
        assert np.array_equal(results["gt_nuclei"].to_masks(), field.nuclei.to_masks())


def test_it_says_what_it_made_and_where_each_cell_comes_from(root, words, tmp_path, capsys):
    assert cellmm(words(tmp_path / "set", "--size", 30, 30, "--cells", 9, 9, "--overlap", 0, 0)) == 0
    content = json.loads((tmp_path / "set/annotations.json").read_text())
    cells = content["annotations"]
    unplaced, lacking = 4 * 9 - len(cells), 0
    said = capsys.readouterr().out
    lines = [json.loads(line) for line in (tmp_path / "set/synthesis.jsonl").read_text().splitlines()]
    counts = [line["counts"] for line in lines[1:]]
    assert sum(count["unplaced"] + count["lacking"] for count in counts) == unplaced > 0
    lacking = sum(count["lacking"] for count in counts)
    assert f"4 images, {len(cells)} cells; {unplaced - lacking} cells fitted nowhere, {lacking} were" in said
    assert [cell["id"] for cell in cells] == list(range(1, len(cells) + 1))
    assert {cell["source"]["image_id"] for cell in cells} <= {1, 2, 3}  # 4 is a test image
    assert all(cell["source"]["overlap"] == 0 and len(cell["source"]["place"]) == 2 for cell in cells)
    assert content["info"]["--cells"] == "9 9" and (tmp_path / "set/contact_sheet.png").is_file()


def killed(argv, half):
    """The command, killed while it writes the labels of the second image: cells and nuclei are two files."""
    write, calls = set_folder.write_layered_tiff, []

    def kill(*args):
        calls.append(args)
        if len(calls) == 3:
            half.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        write(*args)

    set_folder.write_layered_tiff = kill
    cellmm(argv)


def test_killed_and_resumed_it_ends_with_the_same_bytes(words, whole, tmp_path):
    out = tmp_path / "set"
    half = out / "layers/.0002.cellmm-abcdefgh.tif"
    child = multiprocessing.get_context("fork").Process(target=killed, args=(words(out), half))
    child.start()
    child.join(120)
    assert child.exitcode == -signal.SIGKILL
    assert len((out / "synthesis.jsonl").read_text().splitlines()) == 2
    assert half.exists() and not (out / "annotations.json").exists()
    with open(out / "synthesis.jsonl", "a") as file:
        file.write('{"id": 2, "file_na')  # as if it had been killed a little later
    assert cellmm(words(out, "--resume")) == 0
    assert same_files(whole, out)


def test_images_are_added_to_a_finished_set(words, whole, tmp_path, capsys):
    out = tmp_path / "set"
    assert cellmm(words(out, "--number", 2)) == 0
    assert len(json.loads((out / "annotations.json").read_text())["images"]) == 2
    assert cellmm(words(out, "--resume", "--cells", "2", "4")) == 0
    assert same_files(whole, out)
    changed = os.stat(out / "images/0001.tif").st_mtime_ns
    assert cellmm(words(out, "--resume")) == 0  # nothing is left to do
    assert same_files(whole, out) and os.stat(out / "images/0001.tif").st_mtime_ns == changed


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ([], "is not empty: name a new folder or go on with --resume"),
        (
            ["--resume", "--seed", 1],
            "was begun with another --seed (0, now 1): give the same, or name a new folder",
        ),
        (["--resume", "--blur", 3], "was begun with another --blur (2, now 3)"),
        (["--resume", "--number", 3], "holds 4 images already: give --number 4 or more"),
    ],
)
def test_a_set_is_not_mixed_with_another(words, whole, capsys, more, line):
    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*")}
    assert cellmm(words(whole, *more)) == 1
    err = capsys.readouterr().err
    assert line in err and err.count("\n") == 1 and err.startswith("cellmm synthesize: ")
    assert before == {path: path.stat().st_mtime_ns for path in whole.rglob("*")}


def test_other_sources_and_missing_files_are_seen(root, words, whole, tmp_path, capsys):
    out = tmp_path / "set"
    shutil.copytree(whole, out)
    (out / "images/0002.tif").unlink()
    assert cellmm(words(out, "--resume")) == 1
    assert "0002.tif was finished and is gone" in capsys.readouterr().err
    argv = words(whole, "--resume")
    argv.remove("--test")
    del argv[argv.index(str(root / "data/test/phase")) - 1 :][:2]
    argv = [word for word in argv if "/test/" not in word]
    assert cellmm(argv) == 1
    assert "was begun with another JSON, IMG_DIR, --first, --test or --nuclei-dir" in capsys.readouterr().err


def test_a_generator_of_masks_sees_the_cells_alone(root, words, tmp_path):
    text = CONFIG.replace("white=4095", "white=255, inputs='mask'").replace("pack]", "cells, pack]")
    text = text.replace("pack =", "cells = dict(type='LoadCells')\npack =")
    save_generator(root / "of_masks", text)
    outs = [tmp_path / name for name in ("one", "other")]
    for out, level in zip(outs, (0, 4000), strict=True):
        assert cellmm(words(out, "--number", 1, "--background", level, model="of_masks")) == 0
    images = [(out / "images/0001.tif").read_bytes() for out in outs]
    assert images[0] == images[1] and tifffile.imread(outs[0] / "images/0001.tif").max() <= 255


@pytest.mark.parametrize(
    ("options", "more", "line"),
    [
        (dict(phase="images"), [], ".tif: 2 channels, but the generator translates images of 1"),
        (dict(phase="nowhere"), [], "image files absent"),
        (dict(model="absent"), [], "no such model and no folder of a training"),
        (dict(model="gan/iter_1.pth"), ["--config", "seunet/overlap"], "its model does not translate images"),
        (dict(), ["--overlap", 0.5, 0.1], "overlap must be (least, most) from 0 to 1"),
        (dict(), ["--cells", 4, 2], "cells must be (lowest, highest), at least 0, got [4, 2]"),
        (dict(), ["--number", 0], "number must be 1 or more"),
        (dict(), ["--size", 0, 8], "size must be 1 or more"),
    ],
)
def test_what_is_refused_in_a_line(root, words, tmp_path, capsys, options, more, line):
    assert cellmm(words(tmp_path / "set", *more, **options)) == 1
    err = capsys.readouterr().err
    assert line in err and err.count("\n") == 1
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("white=4095", "white=255", "but the generator was trained with images from 0 to 255"),
        (
            "white=4095",
            "white=(4095, 1)",
            "white of PackImagePair is 1, but images are written as whole counts",
        ),
        ("(3, 4, 4)", "(3, 4, 5)", "not weights of this config's model"),
        (
            "pack])",
            "dict(type='RandomCrop', crop_size=(8, 8)), pack])",
            "but 1: RandomCrop is in it; leave it out",
        ),
    ],
)
def test_a_config_of_another_generator(root, words, tmp_path, capsys, old, new, line):
    config = tmp_path / "other.py"
    config.write_text(CONFIG.replace(old, new))
    more = ["--config", config, "--checkpoint", root / "gan/iter_1.pth"]
    assert cellmm(words(tmp_path / "set", *more)) == 1
    err = capsys.readouterr().err
    assert line in err and err.count("\n") == 1 and not (tmp_path / "set").exists()


def test_a_model_of_cells_translates_nothing(words, tmp_path, capsys):
    argv = words(tmp_path / "set")
    argv[argv.index("--model") + 1] = "nuclei"
    assert cellmm(argv) == 1
    assert "its model does not translate images; give one that" in capsys.readouterr().err


def test_predict_says_that_a_generator_finds_no_cells(root, tmp_path, capsys):
    images = str(root / "data/train/phase")
    assert cellmm(["predict", images, "--model", str(root / "gan"), "--out", str(tmp_path / "out")]) == 1
    assert "config.py: the model translates images and finds no cells" in capsys.readouterr().err
