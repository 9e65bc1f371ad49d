"""Lists on standard input, patterns, and COCO jsons in place of image files."""

import json

import pytest

from cellmm.errors import CellMMError
from cellmm.io.image_folders import find_images


@pytest.fixture
def files(tmp_path):
    (tmp_path / "images" / "sub").mkdir(parents=True)
    paths = [tmp_path / "images" / name for name in ("a.tif", "b.tif", "sub/c.png")]
    for path in paths:
        path.touch()
    return paths


def test_standard_input(files, tmp_path, monkeypatch):
    lines = [f"{files[1]}\n", "\n", f" {files[0]} \n"]
    assert find_images(["-"], stdin=lines)[0] == [files[1], files[0]]
    monkeypatch.setattr("sys.stdin", iter([f"{tmp_path / 'images' / 'sub'}\n"]))
    assert find_images(["-", files[0]])[0] == [files[2], files[0]]
    with pytest.raises(CellMMError, match="^-: standard input lists no image; give one path per line$"):
        find_images(["-"], stdin=["\n"])
    with pytest.raises(CellMMError, match="absent.tif: no such file or folder"):
        find_images(["-"], stdin=["absent.tif"])


def test_patterns(files, tmp_path, monkeypatch):
    assert find_images([f"{tmp_path}/images/*.tif"])[0] == files[:2]
    assert find_images([f"{tmp_path}/**/*.png"])[0] == files[2:]
    monkeypatch.chdir(tmp_path)
    assert find_images(["images/[ab].tif"])[0] == files[:2]
    strange = tmp_path / "images" / "x[1].tif"
    strange.touch()
    assert find_images([strange])[0] == [strange], "a file that exists is no pattern"
    with pytest.raises(CellMMError, match=r"\*\.bmp: no file fits this pattern"):
        find_images(["*.bmp"])


@pytest.mark.parametrize("place", ["images/a.json", "a.json", "annotations/a.json"])
def test_coco_json(files, tmp_path, place):
    path = tmp_path / place
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(dict(images=[dict(file_name=name) for name in ("sub/c.png", "a.tif")])))
    assert find_images([path])[0] == [files[2], files[0]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read as json"),
        ("[]", "lists no images"),
        ('{"images": []}', "lists no images"),
        ('{"images": [{"id": 1}]}', "1 of 1 images have no file_name"),
        ('{"images": [{"file_names": ["a", "b"]}]}', "1 of 1 images have their channels in several files"),
        ('{"images": [{"file_name": "a.tif"}, {"file_name": "x.tif"}]}', r"absent, .*x\.tif.* of 2"),
        ('{"images": [{"file_name": "x.tif"}]}', r"absent, .*x\.tif.* of 1"),
    ],
)
def test_other_jsons_are_one_line(files, tmp_path, content, message):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(CellMMError, match=rf"a\.json.*{message}") as caught:
        find_images([tmp_path / "a.json"])
    assert "\n" not in str(caught.value)
