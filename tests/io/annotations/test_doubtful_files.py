"""Files that are empty, hostile or hardly annotated."""

import base64
import io
import json
import os
import pickle
import random

import numpy as np
import pytest

from cellmm.errors import CellMMError
from cellmm.io.annotations import annotation_readers, find_reader, to_rle
from cellmm.io.annotations.safe_pickle import load_arrays
from cellmm.testing.annotation_readers import FOREIGN
from tests.io.annotations import programs as p
from tests.io.annotations.programs import ELL, H, W
from tests.io.annotations.test_layouts import ROWS, read


class Call:
    """Pickles to a call of a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    "function", [(os.mkdir, "made"), (eval, "open('made', 'w')"), (np.fromfile, "x"), (pickle.loads, b"x")]
)
def test_nothing_that_a_pickle_names_is_run(tmp_path, monkeypatch, function):
    monkeypatch.chdir(tmp_path)
    path = p.seg_npy(flows=[Call(*function)])(tmp_path)
    with pytest.raises(CellMMError, match="not read for safety"):
        find_reader(path).read(path)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("protocol", range(2, 6))
def test_arrays_come_out_of_a_pickle_as_they_went_in(protocol):
    arrays = dict(
        a=np.arange(6, dtype=">i2").reshape(2, 3),
        b=np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        c=np.array([True, False]),
        d=[np.float32(1.5), (np.uint32([7]), "text", None)],
        e=np.zeros((0, 4), np.uint8),
    )
    back = load_arrays(pickle.dumps(arrays, protocol=protocol), "a file")
    for name in "abce":
        np.testing.assert_array_equal(back[name], arrays[name])
        assert back[name].dtype == arrays[name].dtype
    assert back["d"][0] == 1.5 and back["d"][1][0] == 7 and back["d"][1][1:] == ["text", None]


@pytest.mark.parametrize("content", FOREIGN)
def test_empty_and_foreign_files_are_nobodys(tmp_path, content):
    for suffix in {suffix for reader in annotation_readers() for suffix in reader.suffixes}:
        path = tmp_path / f"{suffix[1:]}{suffix}"
        path.write_bytes(content)
        assert find_reader(path) is None


def test_what_is_not_a_file_or_has_another_suffix_is_nobodys(tmp_path):
    (tmp_path / "folder.json").mkdir()
    for name in ("folder.json", "absent.json", "notes.docx"):
        assert find_reader(tmp_path / name) is None


@pytest.mark.parametrize("image", ["noise", "ramp", "black", "colour"])
def test_an_image_is_not_taken_for_labels(tmp_path, image):
    y, x = np.mgrid[:96, :128]
    images = dict(
        noise=np.random.default_rng(0).poisson(40, (96, 128)).astype(np.uint16),
        ramp=(x + y).astype(np.uint8),
        black=np.zeros((96, 128), np.uint8),
        colour=np.full((96, 128, 3), 7, np.uint8),
    )
    assert find_reader(p.tiff("a.tif", images[image])(tmp_path)) is None


def test_what_has_no_area_or_is_outside_is_counted(tmp_path):
    rings = [[[1, 1], [5, 1]], [[1, 1], [5, 5], [9, 9]], [[W + 2, 1], [W + 9, 1], [W + 9, 9]], []]
    shapes = [p.lm_shape(points) for points in rings] + [p.lm_shape(p.ring(ELL))]
    (found,) = read(p.as_json("a.json", p.labelme(*shapes))(tmp_path))
    assert len(found.cells) == 1
    assert found.left_out == {"outlines without an area": 3, "outlines outside of the image": 1}


def test_an_outline_beyond_the_edge_is_cut_off(tmp_path):
    points = [[W - 4, -3], [W + 9, -3], [W + 9, 5], [W - 4, 5]]
    (found,) = read(p.as_json("a.json", p.labelme(p.lm_shape(points)))(tmp_path))
    (cell,) = found.cells
    assert to_rle(cell, (H, W)) == p.coco_rle(p.box(0, W - 4, 5, W))


def test_an_annotation_of_several_images(tmp_path):
    tasks = [p.task(p.ls_polygon(ELL), id=i, image=f"s3://bucket/plates/{i}.png") for i in range(3)]
    found = read(p.as_json("a.json", tasks)(tmp_path))
    assert [(image.image, len(image.cells)) for image in found] == [(f"{i}.png", 1) for i in range(3)]


def test_a_pickle_bomb_and_a_png_bomb_are_refused(tmp_path):
    many = io.BytesIO()
    np.save(many, {"masks": Call(np.ndarray, (2**40,))}, allow_pickle=True)
    shape = p.lm_mask(ELL)
    content = bytearray(base64.b64decode(shape["mask"]))
    content[16:24] = (2**20).to_bytes(4, "big") * 2
    shape["mask"] = base64.b64encode(bytes(content)).decode()
    for write in (p.data("a_seg.npy", many.getvalue()), p.as_json("a.json", p.labelme(shape))):
        path = write(tmp_path)
        with pytest.raises(CellMMError):
            find_reader(path).read(path)


def test_large_files_are_recognised_by_their_beginning(tmp_path):
    images = [dict(id=i, file_name=f"plate/{i:09d}.png", height=H, width=W) for i in range(6000)]
    rle = list(bytes(100_000))
    tasks = [p.task(p.region(dict(format="rle", rle=rle, brushlabels=["cell"])))]
    small = [dict(id=1, label=[dict(format="rle", rle=rle)], image="a.png", annotator=1)]
    features = [p.feature([[[i, i + 1] for i in range(40_000)]])]
    for title, content in (
        ("COCO json", p.coco(images=images)),
        (
            "COCO json",
            dict(annotations=[dict(p.coco_rle(ELL), image_id=1, category_id=1)] * 6000, images=images),
        ),
        ("Label Studio json", tasks),
        ("Label Studio json", small),
        ("QuPath GeoJSON", features),
        ("QuPath GeoJSON", p.collection(*features)),
        ("LabelMe json", p.labelme(p.lm_shape([[i, i] for i in range(40_000)]))),
        ("VIA (VGG Image Annotator)", p.via((dict(name="polygon", all_points_x=list(range(90_000))), {}))),
    ):
        path = p.as_json("a.json", content)(tmp_path)
        assert path.stat().st_size > 2**18
        assert [
            reader.title
            for reader in annotation_readers()
            if ".json" in reader.suffixes and reader.recognises(path)
        ] == [title]


def test_focal_planes_of_rois_are_told(tmp_path, said):
    rois = [p.polygon_roi(ELL, z_position=plane) for plane in (0, 1, 2)]
    (found,) = read(p.roi_zip(*rois)(tmp_path))
    assert len(found.cells) == 3
    (told,) = said
    assert "ROIs of 2 focal planes are taken as cells of one image" in told


def test_json_within_json_does_not_end_the_program(tmp_path):
    path = p.text("a.geojson", '{"type": "Feature", "geometry": ' + "[" * 200_000)(tmp_path)
    with pytest.raises(CellMMError, match="not valid json"):
        find_reader(path).read(path)


def test_labels_of_geojson_that_are_no_text_are_left_open(tmp_path):
    feature = p.feature(p.closed(ELL), name={"name": 7})
    (found,) = read(p.as_json("a.geojson", json.loads(json.dumps(feature)))(tmp_path))
    assert [cell.label for cell in found.cells] == [None]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_damage_ends_in_one_line_or_in_cells(tmp_path, row):
    path = row.write(tmp_path)
    whole, chance = path.read_bytes(), random.Random(0)
    (reader,) = [reader for reader in annotation_readers() if reader.title == row.title]
    for number in range(8):
        content = bytearray(whole[: chance.randrange(len(whole) + 1)] if number % 2 else whole)
        for _ in range(3 if number % 2 == 0 else 0):
            content[chance.randrange(len(content))] = chance.randrange(256)
        path.write_bytes(bytes(content))
        for other in annotation_readers():
            assert other.recognises(path) in (True, False)
        try:
            for found in reader.read(path):
                for cell in found.cells:
                    to_rle(cell, (H, W))
        except CellMMError as error:
            assert "\n" not in str(error)
