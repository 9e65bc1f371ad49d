import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from cellmm.datasets import CellCocoDataset, LIVECellDataset
from cellmm.datasets.transforms.loading import LoadCells, LoadImage
from cellmm.errors import CellMMError

H, W = 20, 30
SQUARE = [[5, 5, 15, 5, 15, 15, 5, 15]]  # 10 x 10 pixels by the rule of pycocotools


def content() -> dict:
    return {
        "images": [
            {"id": 7, "file_name": "a.png", "height": H, "width": W},
            {"id": 3, "file_name": "b.png", "height": H, "width": W},
        ],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 1, "segmentation": SQUARE, "area": 99.5, "iscrowd": 0},
            {"id": 2, "image_id": 3, "category_id": 1, "segmentation": SQUARE, "iscrowd": 1},
            {
                "id": 4,
                "image_id": 3,
                "category_id": 1,
                "segmentation": {"size": [H, W], "counts": [3, 2, H * W - 5]},
            },
        ],
        "categories": [{"id": 1, "name": "worm"}],
    }


@pytest.fixture
def make(tmp_path):
    """Write the json and its images, and give the dataset."""

    def make(coco: dict | str, kind=CellCocoDataset, **kwargs):
        (tmp_path / "images").mkdir(exist_ok=True)
        for name in "ab":
            cv2.imwrite(str(tmp_path / f"images/{name}.png"), np.full((H, W), 9, np.uint8))
        text = coco if isinstance(coco, str) else json.dumps(coco)
        (tmp_path / "cells.json").write_text(text)
        return kind(data_root=tmp_path, ann_file="cells.json", img_dir="images", **kwargs)

    return make


def test_images_in_the_order_and_with_the_ids_of_the_file(make):
    dataset = make(content())
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    assert [info["img_id"] for info in infos] == [7, 3]
    assert [Path(info["img_path"]).name for info in infos] == ["a.png", "b.png"]
    assert [len(info["instances"]) for info in infos] == [1, 2]
    assert infos[0]["instances"] == [{"segmentation": SQUARE, "label": 0, "iscrowd": 0, "area": 99.5}]
    assert (infos[0]["height"], infos[0]["width"]) == (H, W)
    assert dataset.metainfo["classes"] == ("worm",)


def test_loaded_cells(make):
    dataset = make(content(), pipeline=[LoadImage(), LoadCells(keep_original=True)])
    results = dataset[1]
    assert results["gt_ignore"].tolist() == [True, False]
    assert np.isnan(results["gt_areas"]).all()
    masks = results["gt_layers"].to_masks()
    assert masks[0].sum() == 100 and masks[0][5:15, 5:15].all()
    assert np.argwhere(masks[1]).tolist() == [[3, 0], [4, 0]]  # RLE runs down the columns
    np.testing.assert_array_equal(
        coco_mask.decode(results["eval_instances"]["masks"]), masks.transpose(1, 2, 0)
    )


def test_planes_in_several_files(make):
    coco = content()
    del coco["images"][0]["file_name"]
    coco["images"][0]["file_names"] = ["a.png", "b.png"]
    dataset = make(coco, pipeline=[LoadImage(num_channels=2)], indices=1)
    assert dataset[0]["img"].shape == (H, W, 2)


def test_classes_in_the_order_of_ids_or_as_named(make):
    coco = content()
    coco["categories"] = [{"id": 5, "name": "dead"}, {"id": 1, "name": "live"}]
    coco["annotations"][2]["category_id"] = 5
    labels = [[cell["label"] for cell in make(coco).get_data_info(i)["instances"]] for i in range(2)]
    assert labels == [[0], [0, 1]]
    assert make(coco).metainfo["classes"] == ("live", "dead")
    dataset = make(coco, metainfo={"classes": ("dead", "live")})
    assert [cell["label"] for cell in dataset.get_data_info(1)["instances"]] == [1, 0]
    dataset = make(coco, class_agnostic=True)
    assert [cell["label"] for cell in dataset.get_data_info(1)["instances"]] == [0, 0]
    assert dataset.metainfo["classes"] == ("cell",)
    with pytest.raises(CellMMError, match=r"leave out annotations of \{'dead': 1\}"):
        make(coco, metainfo={"classes": ("live",)})
    with pytest.raises(CellMMError, match=r"no category \['blue'\]"):
        make(coco, metainfo={"classes": ("live", "dead", "blue")})


def test_the_only_class_takes_the_only_category(make):
    dataset = make(content(), metainfo={"classes": ("cell",)})
    assert dataset.get_data_info(0)["instances"][0]["label"] == 0
    assert dataset.metainfo["classes"] == ("cell",)


def test_annotations_as_a_dict(make):
    coco = content()
    coco["annotations"] = {str(cell["id"]): cell for cell in coco["annotations"]}
    assert len(make(coco).get_data_info(1)["instances"]) == 2


def drop(coco, key, i, name):
    del coco[key][i][name]


def put(coco, key, i, **values):
    coco[key][i].update(values)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda c: c.pop("categories"), "not a COCO annotation file: categories absent"),
        (lambda c: c.update(images=[]), "holds 0 images and 3 annotations"),
        (lambda c: c.update(annotations=[]), "holds 2 images and 0 annotations"),
        (lambda c: put(c, "images", 1, id=7), "same image id, 1: 7"),
        (lambda c: put(c, "images", 1, id="x"), "ids have to be integers, not 1: 'x'"),
        (lambda c: put(c, "annotations", 1, id=1), "same annotation id, 1: 1"),
        (lambda c: c["categories"].append({"id": 1, "name": "x"}), "same category id, 1: 1"),
        (lambda c: put(c, "annotations", 1, image_id=99), "1 annotations of images .* 1: 99"),
        (lambda c: put(c, "annotations", 1, category_id=9), "1 annotations of unknown categories.* 1: 9"),
        (lambda c: c["annotations"].pop(0), r"without annotation, 1: a\.png of 2.*allow_empty"),
        (lambda c: put(c, "images", 1, file_name="no.png"), r"files absent, 1: .*no\.png of 2.*img_dir"),
        (lambda c: drop(c, "images", 0, "height"), "no 'height' in image 1: 7"),
        (lambda c: drop(c, "images", 0, "file_name"), "image 7 has neither file_name"),
        (lambda c: drop(c, "annotations", 2, "segmentation"), "no 'segmentation' in annotation 1: 4"),
        (lambda c: put(c, "annotations", 0, segmentation=[]), "1: annotation 1 is an empty list of polygons"),
        (
            lambda c: put(c, "annotations", 0, segmentation=[[1, 1, 2, 2]]),
            "annotation 1 is a polygon of fewer",
        ),
        (lambda c: put(c, "annotations", 0, segmentation="x"), "annotation 1 is neither"),
        (
            lambda c: put(c, "annotations", 0, segmentation={"size": [W, H], "counts": "x"}),
            r"RLE of size \[30, 20\]",
        ),
        (
            lambda c: put(c, "annotations", 0, segmentation={"size": [H, W], "counts": [1, 2]}),
            "RLE of 3 pixels",
        ),
    ],
)
def test_what_does_not_fit_is_named_and_counted(make, spoil, message):
    coco = content()
    spoil(coco)
    with pytest.raises(CellMMError, match=rf"cells\.json.*{message}"):
        make(coco)


def test_absent_or_broken_json(make, tmp_path):
    with pytest.raises(CellMMError, match=r"cells\.json is not valid json"):
        make('{"images": [')
    with pytest.raises(CellMMError, match=r"no\.json is absent"):
        CellCocoDataset(data_root=tmp_path, ann_file="no.json")


def test_images_without_cells_if_allowed(make):
    coco = content()
    coco["annotations"].pop(0)
    results = make(coco, allow_empty=True, pipeline=[LoadImage(), LoadCells(keep_original=True)])[0]
    assert len(results["gt_layers"]) == 0 and results["gt_labels"].shape == (0,)
    assert results["eval_instances"]["masks"] == []


def test_a_set_without_any_cell_if_allowed(make):
    coco = content() | {"annotations": []}
    dataset = make(coco, allow_empty=True, pipeline=[LoadImage(), LoadCells(keep_original=True)])
    assert len(dataset) == 2 and all(len(dataset[i]["gt_layers"]) == 0 for i in range(2))
    assert dataset.metainfo["classes"] == ("worm",)
    assert make(coco | {"categories": []}, allow_empty=True).metainfo["classes"] == ("cell",)


def two_classes(*order):
    coco = content()
    coco["categories"] = [{"id": number, "name": name} for number, name in order]
    coco["annotations"][2]["category_id"] = 5
    return coco


def labels_of(dataset):
    return [cell["label"] for cell in dataset.get_data_info(1)["instances"]]


def test_the_ids_of_the_categories_are_kept(make):
    assert make(content()).metainfo["category_ids"] == (1,)
    assert make(two_classes((5, "dead"), (1, "live"))).metainfo["category_ids"] == (1, 5)
    dataset = make(two_classes((5, "dead"), (1, "live")), metainfo={"classes": ("dead", "live")})
    assert dataset.metainfo["category_ids"] == (5, 1)
    assert "category_ids" not in make(content(), class_agnostic=True).metainfo


def test_classes_follow_the_names_of_another_set(make):
    dataset = make(two_classes((1, "live"), (5, "dead")))
    assert labels_of(dataset) == [0, 1]
    dataset.take_class_order(["dead", "live"], "train.json")
    assert labels_of(dataset) == [1, 0]
    assert dataset.metainfo["classes"] == ("dead", "live") and dataset.metainfo["category_ids"] == (5, 1)
    dataset.take_class_order(["live", "dead"], "best.pth")
    assert labels_of(dataset) == [0, 1] and dataset.metainfo["category_ids"] == (1, 5)
    said = r"cells\.json: its classes are \['live', 'dead'\], those of train\.json \['live', 'egg'\]: use"
    with pytest.raises(CellMMError, match=said):
        dataset.take_class_order(["live", "egg"], "train.json")
    worms = make(content())
    worms.take_class_order(["cell"], "train.json")  # the only class, whatever it is called
    assert worms.metainfo["classes"] == ("worm",)
    with pytest.raises(CellMMError, match="use the same names in both"):
        worms.take_class_order(["worm", "egg"], "train.json")


def test_size_that_the_image_does_not_have(make):
    coco = content()
    put(coco, "images", 0, height=H + 1)
    with pytest.raises(CellMMError, match=r"a\.png is \(20, 30\).*\(21, 30\)"):
        make(coco, pipeline=[LoadImage()])[0]


def test_index_is_kept_and_renewed(make, tmp_path, monkeypatch):
    pipeline = [LoadImage(), LoadCells()]
    first = make(content(), cache_index=True, pipeline=pipeline)
    kept = tmp_path / ".cells.json.index.json"
    assert kept.is_file()
    again = CellCocoDataset(
        data_root=tmp_path, ann_file="cells.json", img_dir="images", cache_index=True, pipeline=pipeline
    )
    direct = CellCocoDataset(data_root=tmp_path, ann_file="cells.json", img_dir="images", pipeline=pipeline)
    for i in range(2):
        for other in (again, direct):
            np.testing.assert_array_equal(first[i]["gt_layers"].layers, other[i]["gt_layers"].layers)
            np.testing.assert_array_equal(first[i]["gt_areas"], other[i]["gt_areas"])
    with monkeypatch.context() as patch:
        patch.setattr("cellmm.io.coco_index._parse", lambda path: pytest.fail("parsed again"))
        assert (
            len(
                CellCocoDataset(data_root=tmp_path, ann_file="cells.json", img_dir="images", cache_index=True)
            )
            == 2
        )
    coco = content()
    put(coco, "categories", 0, name="a longer name")
    assert make(coco, cache_index=True).metainfo["classes"] == ("a longer name",)
    kept.write_text("{")
    assert len(make(coco, cache_index=True)) == 2


def test_folder_that_cannot_be_written_to(make, tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "read-only", str(path))

    said = []
    monkeypatch.setattr("cellmm.io.coco_index.atomic_path", refuse)
    monkeypatch.setattr("cellmm.io.coco_index.print_log", lambda text, **_: said.append(text))
    assert len(make(content(), cache_index=True)) == 2
    assert [text for text in said if "not kept" in text and "cells.json" in text] == said[1:]
    assert not (tmp_path / ".cells.json.index.json").exists()


def test_livecell_finds_images_in_the_tree(tmp_path):
    for name in "ab":
        (tmp_path / "images" / "set" / name).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / f"images/set/{name}/{name}.png"), np.zeros((H, W), np.uint8))
    (tmp_path / "livecell_coco_val.json").write_text(json.dumps(content()))
    dataset = LIVECellDataset(data_root=tmp_path, split="val")
    assert dataset.get_data_info(0)["img_path"] == str(tmp_path / "images/set/a/a.png")
    cv2.imwrite(str(tmp_path / "images/a.png"), np.zeros((H, W), np.uint8))
    with pytest.raises(CellMMError, match=r"several files of one name, 1: a\.png"):
        LIVECellDataset(data_root=tmp_path, split="val")
    (tmp_path / "images/a.png").unlink()
    (tmp_path / "images/set/a/a.png").unlink()
    with pytest.raises(CellMMError, match=r"absent, 1: .*a\.png of 2"):
        LIVECellDataset(data_root=tmp_path, split="val")
