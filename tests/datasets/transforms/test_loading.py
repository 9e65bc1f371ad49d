import cv2
import numpy as np
import pytest
import tifffile
from pycocotools import mask as coco_mask

from cellmm.datasets.transforms.loading import LoadCells, LoadImage
from cellmm.errors import CellMMError
from cellmm.io.sources import ReadOptions, open_image

H, W = 10, 14


@pytest.fixture
def info(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.arange(H * W, dtype=np.uint16).reshape(H, W))
    for i in range(2):
        mask = np.zeros((H, W), np.uint8)
        mask[3 * i : 3 * i + 4] = 255
        cv2.imwrite(str(tmp_path / f"m{i}.png"), mask)
    masks = [str(tmp_path / f"m{i}.png") for i in range(2)]
    return {"img_path": str(tmp_path / "a.png"), "img_id": 1, "mask_paths": masks}


def test_load_image_sets_the_frame(info):
    results = LoadImage(num_channels=1)(info)
    assert results["img"].dtype == np.float32 and results["img"].shape == (H, W, 1)
    assert results["img"][1, 0, 0] == W
    assert results["img_shape"] == results["ori_shape"] == (H, W)
    np.testing.assert_array_equal(results["to_original"], np.eye(3))


def test_number_of_channels(info):
    with pytest.raises(CellMMError, match=r"a\.png has 1 channels, num_channels is 3"):
        LoadImage(num_channels=3)(info)
    assert LoadImage(num_channels=3, color="rgb")(info)["img"].shape == (H, W, 3)


@pytest.fixture
def film(tmp_path):
    """Values and path of a film (T, Z, C, Y, X) whose channels are DAPI and GFP."""
    values = np.arange(2 * 3 * 2 * H * W, dtype=np.uint16).reshape(2, 3, 2, H, W)
    metadata = dict(axes="TZCYX", Channel=dict(Name=["DAPI", "GFP"]), PhysicalSizeX=0.5, PhysicalSizeY=0.25)
    tifffile.imwrite(tmp_path / "f.ome.tif", values, photometric="minisblack", metadata=metadata)
    return values, str(tmp_path / "f.ome.tif")


def test_part_of_a_film(film):
    values, path = film
    results = LoadImage(time=1, z="max", channels=["GFP"])(dict(img_path=path))
    np.testing.assert_array_equal(results["img"][..., 0], values[1].max(0)[1])
    assert results["pixel_size"] == (0.25, 0.5)
    assert results["read_options"] == ReadOptions(time=1, z="max", channels=["GFP"])
    results = LoadImage(time=0, z=2, pixel_size=0.3)(dict(img_path=[path, path]))
    np.testing.assert_array_equal(results["img"], np.dstack([*values[0, 2]] * 2))
    assert results["pixel_size"] == (0.3, 0.3)
    with pytest.raises(CellMMError, match=r"f\.ome\.tif holds 2 images, .*: choose with --time N"):
        LoadImage(z=0)(dict(img_path=path))


def test_an_image_that_is_there_already(film):
    values, path = film
    expected = values[1, 0].transpose(1, 2, 0)
    source = open_image(path, ReadOptions(time=1, z=0))
    for given, name in (
        (dict(img_source=source), path),
        (dict(img_source=source, img_path="b.tif"), "b.tif"),
        (dict(img=expected, img_path="c"), "c"),
        (dict(img=expected), "array"),
    ):
        results = LoadImage(num_channels=2)(dict(given))
        np.testing.assert_array_equal(results["img"], expected)
        assert results["img"].dtype == np.float32 and results["img_path"] == name
        assert results["ori_shape"] == (H, W) and "img_source" not in results
    with pytest.raises(CellMMError, match=r"^array: 2 of 2 values are NaN"):
        LoadImage()(dict(img=np.full((1, 2), np.nan)))


def test_open_gives_what_transform_reads(film, tmp_path):
    values, path = film
    load = LoadImage(num_channels=2, z=1)
    sources = load.open(path, name="x")
    assert [source.name for source in sources] == ["x_t0000", "x_t0001"]
    for source, frame in zip(sources, values, strict=True):
        part = load.to_float32(source.read(2, 3, 5, 9), source)
        assert part.dtype == np.float32
        np.testing.assert_array_equal(part, load(dict(img_source=source))["img"][2:5, 3:9])
        np.testing.assert_array_equal(part, frame[1].transpose(1, 2, 0)[2:5, 3:9])
    with pytest.raises(CellMMError, match="has 2 channels, num_channels is 3"):
        LoadImage(num_channels=3, z=1).open(path)


@pytest.mark.parametrize("files", [1, 2])
def test_grey_stored_as_rgb_in_parts(tmp_path, files):
    grey = np.arange(H * W, dtype=np.uint8).reshape(H, W)
    paths = [str(tmp_path / f"{i}.tif") for i in range(files)]
    for path in paths:
        tifffile.imwrite(path, np.repeat(grey[..., None], 3, axis=2), photometric="rgb")
    load = LoadImage(num_channels=files)
    (source,) = load.open(paths)
    assert source.num_channels == files
    np.testing.assert_array_equal(source.read(1, 2, 4, 6)[..., -1], grey[1:4, 2:6])
    assert load(dict(img_path=paths))["img"].shape == (H, W, files)
    tifffile.imwrite(paths[0], np.dstack([grey, grey, grey + 1]), photometric="rgb")
    with pytest.raises(CellMMError, match=f"0.tif has {1 + 2 * 1 + (files - 1)} channels, num_channels is"):
        load.open(paths)


@pytest.mark.parametrize("cache", [False, True])
def test_load_cells(info, cache):
    load = LoadCells(keep_original=True, cache=cache)
    for _ in range(2):
        results = load(LoadImage()(dict(info)))
        assert results["gt_layers"].areas().tolist() == [4 * W, 4 * W]
        assert results["gt_layers"].overlap().sum() == W
        assert results["gt_layers"].layers.dtype == np.int32
        assert results["gt_labels"].tolist() == [0, 0] and results["gt_labels"].dtype == np.int64
        assert results["gt_ignore"].tolist() == [False, False] and results["gt_ignore"].dtype == bool
        assert np.isnan(results["gt_areas"]).all()
        assert coco_mask.area(results["eval_instances"]["masks"]).tolist() == [4 * W, 4 * W]
        results["gt_layers"].layers[:] = 0  # a later transform may write into it
        results["gt_labels"][:] = 5
        results["eval_instances"]["masks"].clear()


def test_cache_reads_files_once(info, tmp_path):
    load = LoadCells(cache=True)
    load(LoadImage()(dict(info)))
    for path in info["mask_paths"]:
        (tmp_path / path).unlink()
    assert len(load(LoadImage()(dict(info)))["gt_layers"]) == 2
    with pytest.raises(CellMMError, match=r"m0\.png is absent"):
        LoadCells()(LoadImage()(dict(info)))


def test_cell_without_pixels_stays_and_is_told(info, monkeypatch):
    said = []
    monkeypatch.setattr("cellmm.datasets.transforms.loading.print_log", lambda text, **_: said.append(text))
    cv2.imwrite(info["mask_paths"][0], np.zeros((H, W), np.uint8))
    results = LoadCells(keep_original=True)(LoadImage()(info))
    assert results["gt_layers"].areas().tolist() == [0, 4 * W]
    assert len(results["eval_instances"]["masks"]) == len(results["gt_labels"]) == 2
    assert len(said) == 1 and "1 of 2 cells have no pixel" in said[0] and "a.png" in said[0]


def test_right_after_load_image(info):
    results = LoadImage()(info)
    results["img_shape"] = (5, 5)
    with pytest.raises(CellMMError, match=r"LoadCells has to come right after LoadImage: .*a\.png"):
        LoadCells()(results)
