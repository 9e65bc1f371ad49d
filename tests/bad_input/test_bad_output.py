"""`cellmm predict` and the converters: bad input from the command line, places that cannot be written to."""

import errno
import json
import os
import re
import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
import torch

from cellmm.apis.inferencer import CellInferencer
from cellmm.commands import cli
from cellmm.results.run_folder import MARK, PARTS, RUN

H, W = 20, 30
NOISE = np.random.default_rng(0).integers(0, 255, (H, W), np.uint8)
CONVERTERS = Path(__file__).parents[2] / "tools" / "dataset_converters"


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def files_put_back(folder: Path) -> dict[str, bytes]:
    """As though the results of earlier runs had not been put away."""
    return {re.sub(r"earlier/[^/]+/", "", name): content for name, content in files(folder).items()}


@pytest.fixture
def predict(model_files, tmp_path, capfd):
    """``predict(*arguments)``: status, and the lines on stderr but for progress bars and what says that an
    earlier run was put away. Results: ``out/``."""

    def run(*arguments, config=model_files[0], checkpoint=model_files[1], out=tmp_path / "out"):
        options = ["--config", config, "--checkpoint", checkpoint, "--out", out]
        capfd.readouterr()
        status = cli.main(["predict", *map(str, [*arguments, *options])])
        lines = capfd.readouterr().err.split("\n")
        return status, [
            line for line in lines if line and not re.search("^\rpredict: |held of an earlier run", line)
        ]

    return run


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("a", "b"):
        tifffile.imwrite(folder / f"{name}.tif", NOISE)
    return folder


def refuse(number: int):
    """A function of os that fails with this error."""

    def fail(*args, **kwargs):
        raise OSError(
            number, os.strerror(number), *[str(arg) for arg in args if isinstance(arg, str | Path)][:1]
        )

    return fail


BAD_CALLS = {
    "input absent": (lambda folder: [folder / "no.tif"], {}, r"no\.tif: no such file or folder"),
    "folder without images": (lambda folder: [folder / "empty"], {}, "empty: no image in this folder"),
    "config absent": (lambda folder: [folder], {"config": "no.py"}, r"no\.py: no such config file"),
    "checkpoint absent": (lambda folder: [folder], {"checkpoint": "no.pth"}, r"no\.pth: no such checkpoint"),
    "out is a file": (
        lambda folder: [folder],
        {"out": "images/a.tif"},
        r"a\.tif is not a folder, name another",
    ),
    "out under a file": (lambda folder: [folder], {"out": "images/a.tif/x"}, r"a\.tif is not a folder, name"),
    "results are a folder": (
        lambda folder: [folder],
        {"out": "taken"},
        r"cells\.json is a folder: name a file",
    ),
    "batch of 0": (lambda folder: [folder, "--batch-size", 0], {}, "batch_size is 0: 1 or more"),
    "unknown device": (lambda folder: [folder, "--device", "toaster"], {}, "device 'toaster' cannot be used"),
}


@pytest.mark.parametrize("row", BAD_CALLS)
def test_a_call_that_is_refused(row, predict, images, tmp_path, check_line):
    arguments, options, message = BAD_CALLS[row]
    (images / "empty").mkdir()
    (tmp_path / "taken" / "cells.json").mkdir(parents=True)
    before = files(tmp_path)
    status, lines = predict(*arguments(images), **{key: tmp_path / name for key, name in options.items()})
    assert status == 1 and len(lines) == 1 and lines[0].startswith("cellmm predict: ")
    check_line(lines[0], message)
    assert files(tmp_path) == before


def test_a_folder_that_may_not_be_written_to(predict, images, monkeypatch, tmp_path, check_line):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    status, lines = predict(images)
    assert status == 1 and len(lines) == 1 and not (tmp_path / "out").exists()
    check_line(lines[0], r"out/run\.json cannot be written: no right to write into .*, name another place")


DISK_ERRORS = {
    errno.ENOSPC: "No space left on device: free some disk",
    errno.EDQUOT: "Disk quota exceeded: free some disk",
    errno.EROFS: "Read-only file system: .* name another place",
    errno.EACCES: "Permission denied: get the right",
    errno.EIO: "Input/output error: check the disk",
}


@pytest.mark.parametrize("number", DISK_ERRORS)
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_disk_that_fails(call, number, predict, images, tmp_path, monkeypatch, check_line):
    assert predict(images) == (0, [])
    before = files(tmp_path)
    tifffile.imwrite(images / "a.tif", 255 - NOISE)
    with monkeypatch.context() as patch:
        patch.setattr(os, call, refuse(number))
        status, lines = predict(images)
    assert status == 1 and len(lines) == 1
    check_line(lines[0], r"out/run\.json: " + DISK_ERRORS[number])
    tifffile.imwrite(images / "a.tif", NOISE)
    assert files_put_back(tmp_path) == before  # the results of the first run are whole


@pytest.mark.parametrize("number", DISK_ERRORS)
@pytest.mark.parametrize(
    "name", ["overlays/a.png", "parts/records/a.npz", "parts/records/a.json", "cells.json"]
)
def test_a_file_that_cannot_be_written(name, number, predict, images, tmp_path, monkeypatch, check_line):
    """It costs that file alone, unless the disk takes no others; --resume then comes to the same end."""
    whole = tmp_path / "whole"
    assert predict(images, out=whole) == (0, [])
    replace = os.replace

    def refuse_one(old, new):
        return refuse(number)(new) if Path(new) == tmp_path / "out" / name else replace(old, new)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refuse_one)
        status, lines = predict(images)
    assert status == 1 and len(lines) == 1
    check_line(lines[0], f"out/{name}: " + DISK_ERRORS[number])
    written, wanted = files(tmp_path / "out"), files(whole)
    if number in (errno.EACCES, errno.EIO):
        of_others = {key for key in wanted if Path(key).stem == "b"}
        assert of_others <= written.keys() and ("cells.json" in written) == (name != "cells.json")
    elif name != "cells.json":
        assert "; then go on with --resume" in lines[0]
    assert {key: wanted[key] for key in written if key not in ("cells.json", "parts/records/a.json")} == {
        key: value for key, value in written.items() if key not in ("cells.json", "parts/records/a.json")
    }
    assert predict(images, "--resume") == (0, [])
    assert files(tmp_path / "out") == wanted


def test_the_disk_is_full_while_the_bytes_are_written(predict, images, tmp_path, monkeypatch, check_line):
    assert predict(images) == (0, [])
    before = files(tmp_path)
    for name in ("write_bytes", "write_text"):
        with monkeypatch.context() as patch:
            patch.setattr(Path, name, lambda self, *args, **options: refuse(errno.ENOSPC)(self))
            status, lines = predict(images)
        assert status == 1 and len(lines) == 1 and before.items() <= files_put_back(tmp_path).items()
        check_line(lines[0], r"out/.*\.(json|png): No space left on device: free some disk")


def test_bad_images_among_good_ones(predict, images, tmp_path, check_line):
    """Each gives its line; the others are predicted, whatever their size."""
    tifffile.imwrite(images / "c.tif", NOISE[:, :9])
    tifffile.imwrite(images / "d.tif", np.stack([NOISE, NOISE]))
    (images / "e.png").write_bytes(cv2.imencode(".png", NOISE)[1].tobytes()[:99])
    (images / "f.bmp").write_bytes(cv2.imencode(".bmp", NOISE)[1].tobytes()[:999])
    (images / "g.jpg").write_text("no image")
    (images / "h.tif").symlink_to("gone.tif")
    (images / "i.tif").mkdir()  # an empty folder
    (images / "j.npy").write_bytes(b"")  # not of a suffix of images
    tifffile.imwrite(images / "k.tif", np.full((H, W), 7, np.uint16))
    status, lines = predict(images, "--batch-size", 4)
    assert status == 1 and len(lines) == 5
    for line, name in zip(lines, ("d.tif", "e.png", "f.bmp", "g.jpg", "h.tif"), strict=True):
        check_line(line, "^cellmm predict: .*" + name)
    content = json.loads((tmp_path / "out" / "cells.json").read_text())
    assert [image["file_name"] for image in content["images"]] == ["a.tif", "b.tif", "c.tif", "k.tif"]
    names = sorted(name for name in files(tmp_path / "out") if Path(name).name not in (MARK, RUN))
    names = [name for name in names if not name.startswith(PARTS)]
    assert names == ["cells.json", *(f"overlays/{name}.png" for name in "abck")]


def test_a_file_that_is_no_image_by_its_name(predict, tmp_path, check_line):
    np.save(tmp_path / "a.npy", NOISE)
    status, lines = predict(tmp_path / "a.npy")
    assert status == 1 and len(lines) == 1 and not (tmp_path / "out").exists()
    check_line(lines[0], r"a\.npy cannot be read as an image, it is no TIFF")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 9 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried\nto allocate 9"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9.00 GiB"),
    ],
)
def test_memory_runs_out(error, predict, images, monkeypatch, tmp_path, check_line):
    """Of a batch every image is tried alone."""
    real = CellInferencer._run
    seen = []

    def model(self, batch):
        if len(batch["inputs"]) > 1 or batch["data_samples"][0].img_path.endswith("b.tif"):
            seen.append(len(batch["inputs"]))
            raise error
        return type(self).test_step(self, batch)

    def run(self, batch):
        self.model.test_step = model.__get__(self.model)
        return real(self, batch)

    monkeypatch.setattr(CellInferencer, "_run", run)
    status, lines = predict(images, "--batch-size", 2)
    assert status == 1 and len(lines) == 1 and seen == [2, 1]
    check_line(lines[0], r"b\.tif: not enough memory \(.*allocate 9.*\): crop or tile")
    content = json.loads((tmp_path / "out" / "cells.json").read_text())
    assert [image["file_name"] for image in content["images"]] == ["a.tif"]


def test_memory_runs_out_for_a_picture(predict, images, monkeypatch, tmp_path, check_line):
    def fail(*args, **options):
        raise MemoryError

    monkeypatch.setattr("cellmm.results.writers.pictures.draw_instances", fail)
    status, lines = predict(images / "a.tif")
    assert status == 1 and len(lines) == 1
    check_line(lines[0], r"out/overlays/a\.png: not enough memory: crop or tile")
    assert (tmp_path / "out/cells.json").exists() and not (tmp_path / "out/overlays/a.png").exists()


def test_a_model_that_has_diverged(predict, images, model_files, tmp_path, check_line):
    weights = torch.load(model_files[1])["state_dict"]
    bad = {
        name: torch.full_like(value, torch.nan) if value.is_floating_point() else value
        for name, value in weights.items()
    }
    torch.save(dict(state_dict=bad), tmp_path / "nan.pth")
    status, lines = predict(images, checkpoint=tmp_path / "nan.pth")
    assert status == 1 and len(lines) == 1 and not (tmp_path / "out").exists()
    check_line(lines[0], r"nan\.pth: its weights hold NaN or infinity, .*; give an earlier one")


def test_ctrl_c_is_one_line_and_130(predict, images, monkeypatch, tmp_path):
    def stop(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(CellInferencer, "prepare", stop)
    assert predict(images) == (130, ["cellmm predict: stopped"])
    assert not (tmp_path / "out").exists()


@pytest.fixture
def convert(monkeypatch, tmp_path):
    """``convert(out)`` of a set of two label images; it ends with 0, or with the line that it said."""
    for name in ("a", "b"):
        for folder, image in (("images", NOISE), ("labels", NOISE > 99)):
            (tmp_path / folder).mkdir(exist_ok=True)
            tifffile.imwrite(tmp_path / folder / f"{name}.tif", image.astype(np.uint8))

    def run(out: Path) -> str | int:
        argv = ["label_images_to_coco.py", str(tmp_path), str(out)]
        monkeypatch.setattr(sys, "argv", argv)
        try:
            runpy.run_path(str(CONVERTERS / argv[0]), run_name="__main__")
        except SystemExit as end:
            return end.code
        return 0

    return run


def test_a_converter_and_a_bad_image(convert, tmp_path, check_line):
    (tmp_path / "images" / "b.tif").write_bytes(b"")
    before = files(tmp_path)
    check_line(convert(tmp_path / "cells.json"), r"^error: .*b\.tif; copy or export them again")
    assert files(tmp_path) == before


def test_a_converter_and_a_place_that_cannot_be(convert, tmp_path, check_line):
    check_line(convert(tmp_path / "labels"), "^error: .*labels is a folder: name a file")
    check_line(
        convert(tmp_path / "labels/a.tif/x.json"), r"^error: .*x\.json cannot be written: .*a\.tif is no"
    )


@pytest.mark.parametrize("name", ["write_text", "chmod"])
def test_a_converter_and_a_full_disk(name, convert, tmp_path, monkeypatch, check_line):
    assert convert(tmp_path / "cells.json") == 0
    before = files(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(Path, name, lambda self, *args, **options: refuse(errno.ENOSPC)())
        check_line(convert(tmp_path / "cells.json"), r"^error: .*cells\.json: No space left on device: free")
    assert files(tmp_path) == before


def test_a_converter_without_memory(convert, tmp_path, monkeypatch, check_line):
    def fail(dataset):
        raise MemoryError

    monkeypatch.setattr("cellmm.datasets.to_coco.dataset_to_coco", fail)
    check_line(convert(tmp_path / "cells.json"), "^error: not enough memory: crop or tile")
    assert not (tmp_path / "cells.json").exists()
