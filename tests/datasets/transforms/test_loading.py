import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from cellmm.datasets.transforms.loading import LoadCells, LoadImage
from cellmm.errors import CellMMError

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
