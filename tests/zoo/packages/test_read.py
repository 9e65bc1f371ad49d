"""A package is read as data, or refused in one line."""

import json
import zipfile
from pathlib import Path

import pytest

from cellmm.apis.inferencer import CellInferencer
from cellmm.commands.cli import main
from cellmm.errors import CellMMError
from cellmm.zoo import resolve_model
from cellmm.zoo.packages import is_package, read_package

CONTENT = dict(
    format=1,
    cellmm="0.1",
    kind="onnx",
    name="mine",
    model=dict(type="CellSegmentor"),
    pipeline=[],
    classes=["cell"],
    category_ids=[1],
    trained_on=None,
    footprint=dict(local=True, bytes_per_pixel=1.0),
    graphs=dict(maps=dict(file="maps.onnx", inputs=["images"], outputs=["a"])),
    sha256={"maps.onnx": "0" * 64},
)


def write(path: Path, files: dict[str, str | bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def test_what_it_says(tmp_path):
    package = read_package(write(tmp_path / "a.zip", {"cellmm.json": json.dumps(CONTENT)}))
    assert package.content == CONTENT and package.kind == "onnx"
    assert is_package("a.ZIP") and not is_package("nuclei")


@pytest.mark.parametrize(
    ("change", "cure"),
    [
        (dict(format=2, cellmm="9.0"), "written by cellmm 9.0, which is newer than this one; update cellmm"),
        (dict(format="1"), "is damaged; export it again"),
        (dict(kind="tflite"), "a package of kind 'tflite'"),
        (dict(model=None), "model in cellmm.json is missing or of the wrong type"),
        (dict(graphs=dict(maps="maps.onnx")), "the graph 'maps' in cellmm.json is incomplete"),
    ],
)
def test_a_description_that_cannot_be_used(change, cure, tmp_path):
    path = write(tmp_path / "a.zip", {"cellmm.json": json.dumps(CONTENT | change)})
    with pytest.raises(CellMMError, match=cure) as caught:
        read_package(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("files", "cure"),
    [
        ({"cellmm.json": "{"}, "cellmm.json in it is damaged"),
        ({"cellmm.json": b"\xff\xfe"}, "cellmm.json in it is damaged"),
        ({"rdf.yaml": "type: model"}, "a bioimage.io package of another program"),
        ({"weights.pkl": "x"}, "not a package of another program"),
        ({"../cellmm.json": "{}"}, "would be unpacked into another folder"),
        ({"/etc/cellmm.json": "{}"}, "would be unpacked into another folder"),
        ({"a/../../b": "", "cellmm.json": json.dumps(CONTENT)}, "would be unpacked into another folder"),
        ({"..\\b": "", "cellmm.json": json.dumps(CONTENT)}, "would be unpacked into another folder"),
    ],
)
def test_files_of_another_kind(files, cure, tmp_path, capsys):
    path = write(tmp_path / "a.zip", files)
    assert main(["predict", __file__, "--model", str(path), "--out", str(tmp_path / "out")]) == 1
    line = capsys.readouterr().err
    assert cure in line and str(path) in line and line.count("\n") == 1
    assert [file.name for file in tmp_path.iterdir()] == ["a.zip"]


def test_cut_off_anywhere(tmp_path):
    whole = write(tmp_path / "a.zip", {"cellmm.json": json.dumps(CONTENT), "maps.onnx": b"x" * 1000})
    content = whole.read_bytes()
    for size in (0, 1, 100, len(content) // 2, len(content) - 1):
        cut = tmp_path / "cut.zip"
        cut.write_bytes(content[:size])
        with pytest.raises(CellMMError, match="an incomplete or damaged zip file"):
            read_package(cut)


def test_a_file_that_was_changed_or_is_missing(tmp_path):
    package = read_package(
        write(tmp_path / "a.zip", {"cellmm.json": json.dumps(CONTENT), "maps.onnx": b"other"})
    )
    with pytest.raises(CellMMError, match="maps.onnx in it is not the one that was exported"):
        package.file("maps.onnx")
    with pytest.raises(CellMMError, match="masks.onnx is missing in it"):
        package.file("masks.onnx")
    content = bytearray(package.path.read_bytes())
    content[content.index(b"other")] ^= 1  # a flipped bit
    package.path.write_bytes(content)
    with pytest.raises(CellMMError, match="maps.onnx in it is damaged"):
        package.file("maps.onnx")


def test_as_a_model(tmp_path):
    path = write(tmp_path / "a.zip", {})
    assert resolve_model(path) == (path, path)
    with pytest.raises(CellMMError, match="a package has its own weights; leave --checkpoint out"):
        resolve_model(path, "w.pth")
    with pytest.raises(CellMMError, match="no such file"):
        resolve_model(tmp_path / "b.zip")
    for name in ("maps.onnx", "maps.pt2"):
        with pytest.raises(CellMMError, match="give the zip file that `cellmm export` wrote"):
            resolve_model(tmp_path / name)


@pytest.mark.parametrize(
    "change",
    [
        dict(model=dict(type="subprocess.Popen", args=["touch", "ran"])),
        dict(model=dict(type="CellSegmentor", encoder=dict(type="os.system", command="touch ran"))),
        dict(model=dict(type="CellSegmentor", _scope_="other")),
        dict(pipeline=[dict(type="LoadImage"), dict(type="builtins.exec", object="open('ran', 'w')")]),
        dict(model=dict(type="CellSegmentor", init_cfg=dict(type="Pretrained", checkpoint="a.pth"))),
    ],
)
def test_a_package_cannot_name_what_would_run(change, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path / "a.zip", {"cellmm.json": json.dumps(CONTENT | change)})
    with pytest.raises(CellMMError, match="is not a part of cellmm nor of an installed plug-in"):
        CellInferencer(path, device="cpu")
    assert not (tmp_path / "ran").exists()
