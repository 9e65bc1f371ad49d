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


def test_linked_folders_are_followed_and_loops_end(tmp_path):
    """Public report: soumith/dcgan.torch#32, data folders that are links are ignored."""
    a, b = touch(tmp_path, "in/a.tif", "disk/sub/b.tif")
    (tmp_path / "in" / "day2").symlink_to(tmp_path / "disk")
    (tmp_path / "in" / "day3").symlink_to(tmp_path / "disk")  # the same again
    (tmp_path / "disk" / "sub" / "up").symlink_to(tmp_path / "in")  # a loop
    touch(tmp_path, "in/.hidden/c.tif")
    assert find_images([tmp_path / "in"])[0] == [a, tmp_path / "in/day2/sub/b.tif"]
    assert find_images([tmp_path / "in", b])[0] == [a, tmp_path / "in/day2/sub/b.tif", b], "named itself"


def test_zarr_folders_and_other_formats_are_images(tmp_path):
    slide, film, chunk, _, marked = touch(
        tmp_path, "b.svs", "c.nd2", "a.zarr/0/0.0.0.tif", "a_labels.ome.zarr/x", "d/zarr.json"
    )
    plate, folder = chunk.parents[1], marked.parent
    images, labels, _ = find_images([tmp_path])
    assert images == [plate, slide, film, folder]
    assert labels == [tmp_path / "a_labels.ome.zarr"]
    assert find_images([plate])[0] == [plate]


def test_labels_beside_ome_files(tmp_path):
    (image,) = touch(tmp_path, "a.ome.tif")
    labels = touch(tmp_path, "a.ome_cp_masks.png", "a_masks.ome.tif", "a_seg.png")
    images, found, _ = find_images([tmp_path])
    assert images == [image] and set(found) == set(labels)


def test_name_images(tmp_path):
    paths = [tmp_path / name for name in ("1/x.tif", "1/x.png", "2/x.tif", "2/y.1.tif")]
    names, pictures = name_images(paths)
    assert names == ["1/x.tif", "1/x.png", "2/x.tif", "2/y.1.tif"]
    assert pictures == ["1/x.tif.png", "1/x.png.png", "2/x.png", "2/y.1.png"]
    assert name_images(paths[:1]) == (["x.tif"], ["x.png"])


@pytest.mark.parametrize(
    "files",
    [
        ("x.tif", "x.png", "x.png.tif"),
        ("x.tif", "X.png"),
        ("x.tif", "x_t0001.tif", "X_P001.png", "x_p001_t0000.tif"),
        ("x.ome.tif", "x.tif", "x.ome_t0002.tif"),
        ("x.zarr", "x/p001.tif", "x/B/03/0.tif"),
    ],
)
def test_no_two_pictures_are_one_file(tmp_path, files):
    """Nor a picture and one of a frame or field of another file, as sources name these."""
    pictures = name_images([tmp_path / name for name in files])[1]
    stems = [name.removesuffix(".png") for name in pictures]
    ends = ("_p001", "_t0000", "_t0001", "_t0002", "_p001_t0000", "/B/03/0")
    every = [stem + end for stem in stems for end in ("", *ends)]
    assert len({name.casefold() for name in every}) == len(every)
