"""Which files are images, and what their pictures are called."""

import pytest

from cellmm.errors import CellMMError
from cellmm.io.image_folders import find_images, name_images


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return [folder / name for name in names]


def test_find_images(tmp_path):
    touch(tmp_path, ".hidden.tif", "notes.txt")
    b, a, c = touch(tmp_path, "b.PNG", "a.tif", "sub/c.jpeg")
    assert find_images([tmp_path]) == ([a, b, c], [], [])
    assert find_images([b, tmp_path / "sub", tmp_path])[0] == [b, c, a]  # each once
    assert find_images([tmp_path], leave_out=[tmp_path / "sub"]) == ([a, b], [], [c])
    (tmp_path / "empty").mkdir()
    with pytest.raises(CellMMError, match="empty: no image in this folder"):
        find_images([tmp_path / "empty"])
    with pytest.raises(CellMMError, match="absent: no such file or folder"):
        find_images([tmp_path / "absent"])


def test_labels_are_files_beside_their_image(tmp_path):
    (image,) = touch(tmp_path, "a.tif")
    ends = ("masks", "cp_masks", "labels", "label", "mask", "seg", "CP_MASKS", "outlines_cp_masks", "flows")
    labels = touch(tmp_path, *[f"a_{end}.png" for end in ends], "a_masks.tif")
    others = touch(tmp_path, "b_masks.png", "sub/a_masks.png", "a_2.tif", "masks.png", "unmasks.png")
    images, found, _ = find_images([tmp_path])
    assert set(images) == {image, *others} and set(found) == set(labels)
    assert find_images([labels[0]]) == ([labels[0]], [], [])  # asked for
    assert find_images([labels[0], tmp_path])[0][0] == labels[0]


def test_name_images(tmp_path):
    paths = [tmp_path / name for name in ("1/x.tif", "1/x.png", "2/x.tif", "2/y.1.tif")]
    names, pictures = name_images(paths)
    assert names == ["1/x.tif", "1/x.png", "2/x.tif", "2/y.1.tif"]
    assert pictures == ["1/x.tif.png", "1/x.png.png", "2/x.png", "2/y.1.png"]
    assert name_images(paths[:1]) == (["x.tif"], ["x.png"])


@pytest.mark.parametrize("files", [("x.tif", "x.png", "x.png.tif"), ("x.tif", "X.png")])
def test_no_two_pictures_are_one_file(tmp_path, files):
    pictures = name_images([tmp_path / name for name in files])[1]
    assert len({name.casefold() for name in pictures}) == len(files)
