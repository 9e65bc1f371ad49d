"""The tool that pastes annotated cells together into a synthetic set."""

import json
import sys

import numpy as np
import pytest
import tifffile

from cellmm.datasets import CellCocoDataset
from cellmm.datasets.transforms.cutouts import CellWarp, cut_out
from cellmm.io.coco_results import write_coco
from cellmm.io.layered_tiff import read_label_layers
from cellmm.structures import LabelLayers, rle

SIZE = (48, 64)


@pytest.fixture
def run(load_tool, monkeypatch, tmp_path, capsys):
    """``run(name, *options)`` makes a set of three images of 40 x 50 px; what the tool says, and its json."""
    images, annotations = [], []
    for folder in ("images", "nuclei"):
        (tmp_path / folder).mkdir()
    for number in (1, 2, 3):
        masks = np.zeros((3, *SIZE), bool)
        for k, (y, x) in enumerate([(4, 4), (24, 8), (8, 40)]):
            masks[k, y : y + 6 + number, x : x + 9] = True
        image = 100 + 10 * number * masks.any(0)
        tifffile.imwrite(tmp_path / "images" / f"{number}.tif", image.astype(np.uint16))
        label = (masks[:, ::2].repeat(2, 1) * np.arange(1, 4)[:, None, None]).max(0)
        tifffile.imwrite(tmp_path / "nuclei" / f"{number}.tif", label.astype(np.uint16))
        images.append(dict(id=number, file_name=f"{number}.tif", height=SIZE[0], width=SIZE[1]))
        for mask in rle.encode(masks):
            annotations.append(
                dict(id=len(annotations) + 71, image_id=number, category_id=5, segmentation=mask, iscrowd=0)
            )
    categories = [dict(id=5, name="u2os")]
    write_coco(tmp_path / "all.json", dict(images=images, annotations=annotations, categories=categories))
    held = [annotation for annotation in annotations if annotation["image_id"] == 3]
    write_coco(tmp_path / "test.json", dict(images=images[2:], annotations=held, categories=categories))

    def run(name, *options, img_dir="images"):
        given = [tmp_path / "all.json", tmp_path / img_dir, tmp_path / name, "--number", 3, "--size", 40, 50]
        given += ["--cells", 2, 4, "--blur", 3, "--elastic-magnitude", 0.5, *options]
        monkeypatch.setattr(sys, "argv", ["tool", *map(str, given)])
        load_tool("dataset_converters/copy_paste").main()
        return capsys.readouterr().out, json.loads((tmp_path / name / "annotations.json").read_text())

    return run


def test_the_set_is_read_back_and_every_cell_says_where_it_comes_from(run, tmp_path):
    said, content = run(
        "set", "--nuclei-dir", tmp_path / "nuclei", "--test", tmp_path / "test.json", tmp_path / "images"
    )
    annotations = content["annotations"]
    assert f"3 images, {len(annotations)} cells" in said and "0 values were clipped" in said
    dataset = CellCocoDataset(
        data_root=tmp_path / "set",
        ann_file="annotations.json",
        img_dir="images",
        nuclei_dir="nuclei",
        pipeline=[dict(type="LoadImage"), dict(type="LoadCells"), dict(type="LoadNuclei")],
    )
    source = dict(img_dir=tmp_path / "images", ann_file=tmp_path / "all.json")
    sources = CellCocoDataset(**source, pipeline=[dict(type="LoadImage"), dict(type="LoadCells")])
    assert dataset.metainfo["classes"] == ("u2os",) and content["categories"] == [dict(id=5, name="u2os")]
    assert {cell["source"]["image_id"] for cell in annotations} == {1, 2}  # 3 is a test image
    for i in range(3):
        results = dataset[i]
        layers = read_label_layers(tmp_path / "set" / "layers" / f"000{i + 1}.tif")
        assert np.array_equal(layers.to_masks(), results["gt_layers"].to_masks())
        assert results["gt_nuclei"].covered().any() and results["img"].shape == (40, 50, 1)
        of_image = [cell for cell in annotations if cell["image_id"] == i + 1]
        before = np.zeros((40, 50), bool)
        for mask, cell in zip(layers.to_masks(), of_image, strict=True):
            origin = cell["source"]
            given = sources[origin["image_id"] - 1]
            index = (origin["annotation_id"] - 71) % 3
            again = cut_out(
                given["img"],
                given["gt_layers"],
                index,
                CellWarp(**origin["warp"]),
                box=given["gt_layers"].bboxes()[index],
                blur=3.0,
            )
            expected, (y, x) = np.zeros((40, 50), bool), origin["place"]
            expected[y : y + again.mask.shape[0], x : x + again.mask.shape[1]] = again.mask
            assert np.array_equal(mask, expected)  # made again from what the json says
            assert (mask & before).sum() / mask.sum() == pytest.approx(origin["overlap"])
            assert 0 <= origin["overlap"] <= 0.2
            before |= mask


def test_equal_seeds_give_equal_files(run, tmp_path):
    (_, first), (_, again), (_, other) = run("a"), run("b"), run("c", "--seed", 1)
    assert first == again and first["annotations"] != other["annotations"]
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.tif"))
    assert len(files) == 6
    for file in files:
        pixels = [tifffile.imread(tmp_path / name / file) for name in "ab"]
        assert np.array_equal(*pixels)


def test_onto_images_the_cells_there_stay(run, tmp_path):
    _, content = run("set", "--onto", "images", "--mode", "replace", "--blur", 0)
    for image in content["images"]:
        cells = [cell for cell in content["annotations"] if cell["image_id"] == image["id"]]
        assert (image["height"], image["width"]) == SIZE
        there = [cell for cell in cells if "warp" not in cell["source"]]
        assert len(there) == 3 and len({cell["source"]["image_id"] for cell in there}) == 1
        shown = tifffile.imread(tmp_path / "set" / "images" / image["file_name"])
        assert shown.max() <= 130  # nothing is added


def test_a_published_field_is_black(run, tmp_path):
    _, content = run("set", "--background", 0, "--blur", 0, "--overlap", 0, 0)
    masks = [cell["segmentation"] for cell in content["annotations"] if cell["image_id"] == 1]
    shown = tifffile.imread(tmp_path / "set" / "images" / "0001.tif")
    covered = LabelLayers.from_rles(masks, (40, 50)).covered()
    assert not shown[~covered].any() and shown[covered].min() >= 50


def test_nothing_is_left_where_it_fails(run, tmp_path):
    with pytest.raises(SystemExit, match="all 3 images are test images"):
        run("set", "--test", tmp_path / "all.json", tmp_path / "images")
    with pytest.raises(SystemExit, match="error: overlap must be"):
        run("set", "--overlap", 0.5, 0.1)
    with pytest.raises(SystemExit, match="image files absent"):
        run("set", img_dir="nowhere")
    assert not (tmp_path / "set").exists()
    run("set")
    with pytest.raises(SystemExit, match="set exists"):
        run("set")
