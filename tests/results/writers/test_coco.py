"""COCO json with the category ids of training, and the json of a run."""

import json
from dataclasses import replace

import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from cellmm.errors import CellMMError
from cellmm.results.writers import CollectingWriter, build_writers
from cellmm.structures import MaskRuns


@pytest.fixture
def writer():
    (writer,) = build_writers("coco")
    assert isinstance(writer, CollectingWriter)
    return writer


def test_categories_are_those_of_training(writer, odd, tmp_path):
    writer.write(tmp_path / "a.json", odd, None)
    coco = COCO(str(tmp_path / "a.json"))
    assert coco.cats == {7: dict(id=7, name="worm"), 3: dict(id=3, name="größe/2 & <b>")}
    assert [cell["category_id"] for cell in coco.anns.values()] == [7, 3, 7, 3, 7, 3]
    assert coco.imgs[1] == dict(id=1, file_name="plate 1/µ a.tif", height=30, width=40)
    assert odd.to_coco() == coco.dataset
    first = coco.anns[2]
    assert (first["bbox"], first["area"], round(first["score"], 3)) == ([4, 5, 14, 9], 126, 0.5)


def test_a_run_is_scored_by_pycocotools(writer, odd, tmp_path):
    names = ("b.tif", "a.tif", "none.tif")
    for i, name in enumerate(names):
        cells = odd if i < 2 else odd.select([])
        writer.write(tmp_path / f"{i}.json", replace(cells, name=name), None)
    writer.collect(tmp_path / "cells.json", iter(tmp_path / f"{i}.json" for i in range(3)))
    coco = COCO(str(tmp_path / "cells.json"))
    assert [image["file_name"] for image in coco.imgs.values()] == list(names)
    assert list(coco.imgs) == [1, 2, 3] and list(coco.anns) == list(range(1, 13))
    assert len(coco.getAnnIds(imgIds=[2], catIds=[3])) == 3
    found = COCOeval(coco, coco.loadRes(coco.dataset["annotations"]), "segm")
    found.evaluate()
    found.accumulate()
    found.summarize()
    assert found.stats[0] == pytest.approx(1)


def test_runs_without_images_and_of_two_models(writer, odd, tmp_path):
    writer.collect(tmp_path / "cells.json", iter(()))
    assert json.loads((tmp_path / "cells.json").read_text()) == dict(annotations=[], images=[], categories=[])
    writer.write(tmp_path / "a.json", odd, None)
    writer.write(tmp_path / "b.json", replace(odd, category_ids=(1, 2)), None)
    with pytest.raises(CellMMError, match=r"b\.json has the categories .*: write the results of one model"):
        writer.collect(tmp_path / "cells.json", iter([tmp_path / "a.json", tmp_path / "b.json"]))
    assert json.loads((tmp_path / "cells.json").read_text())["images"] == []  # the earlier file


def test_images_too_large_for_rle(writer, odd, tmp_path):
    cells = replace(odd, masks=odd.masks.moved(50_000, 50_000, (60_000, 60_000)))
    with pytest.raises(CellMMError, match=r"\[60000, 60000\] pixels .* write another format"):
        writer.write(tmp_path / "a.json", cells, None)
    assert not list(tmp_path.iterdir())
    assert isinstance(cells.masks, MaskRuns)
