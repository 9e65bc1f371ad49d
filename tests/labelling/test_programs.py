"""The files of each program, from proposals that are known."""

import json
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from cellmm.errors import CellMMError
from cellmm.io.annotations import find_reader, to_rle
from cellmm.labelling import PROGRAMS, Proposal, Shapes, programs_of
from cellmm.results import Instances
from cellmm.results.writers.rois import EMPTY
from cellmm.structures import MaskRuns

SHAPE = (60, 80)
ODD = 'a "b" <c> & d\udcff'  # of a class, and of a file whose name is not UTF-8


def proposal(stem: str, num: int, classes: tuple[str, ...] = ("cell",)) -> Proposal:
    """``num`` random cells that overlap, the last of them without a pixel."""
    rng = np.random.default_rng(num)
    crops = [rng.random((12, 15)) < 0.7 for _ in range(num)]
    if num:
        crops[-1][:] = False
    corners = [(int(y), int(x)) for y, x in rng.integers(0, 48, (num, 2))]
    masks = MaskRuns.from_crops(crops, corners, SHAPE)
    labels = np.arange(num) % len(classes)
    scores = np.linspace(1, 0.5, num, dtype=np.float32)
    return Proposal(stem, Instances(masks, scores, labels, classes, tuple(range(1, len(classes) + 1))), 0.25)


def read_back(path: Path) -> dict[str | None, list[str]]:
    return {
        image.image: [to_rle(cell, SHAPE)["counts"] for cell in image.cells]
        for image in find_reader(path).read(path)
    }


def as_annotated(path: Path) -> Path:
    """The tasks as they are exported when each was submitted unchanged."""
    tasks = json.loads(path.read_text())
    for task in tasks:
        task["annotations"] = [{"id": 1, "result": task["predictions"][0]["result"]}]
    path.with_name("export.json").write_text(json.dumps(tasks))
    return path.with_name("export.json")


@pytest.mark.parametrize("kind", ["masks", "polygons"])
@pytest.mark.parametrize("name", ["label-studio", "cvat"])
def test_many_images_in_a_file(tmp_path, name, kind):
    some = [proposal("x/one", 30, (ODD, "b")), proposal(ODD, 3), proposal("none", 0)]
    losses = PROGRAMS[name].write(tmp_path, some, Shapes(kind, 0.0))
    assert losses[EMPTY] == 2
    path = tmp_path / PROGRAMS[name].opens
    found = read_back(as_annotated(path) if name == "label-studio" else path)
    assert [len(cells) for cells in found.values()] == [29, 2, 0]
    if kind == "masks":
        wanted = [image.instances.masks.to_rles()[:-1] for image in some]
        assert [*found.values()] == [[rle["counts"] for rle in rles] for rles in wanted]
        assert losses == Counter({EMPTY: 2})


def test_the_labels_of_the_interface_are_those_of_the_cells(tmp_path):
    PROGRAMS["label-studio"].write(tmp_path, [proposal("one", 4, (ODD, "b"))], Shapes())
    tree = ElementTree.parse(tmp_path / "label-studio/interface.xml").getroot()
    labels = {label.get("value") for label in tree.iter("Label")}
    tags = {tag.get("name") for tag in tree}
    (task,) = json.loads((tmp_path / "label-studio/tasks.json").read_text())
    regions = task["predictions"][0]["result"]
    assert {region["value"]["brushlabels"][0] for region in regions} == labels
    assert {region["from_name"] for region in regions} | {"image"} <= tags
    assert {region["to_name"] for region in regions} == {"image"} and list(task["data"]) == ["image"]
    assert task["predictions"][0]["score"] == 0.25


def test_the_labels_of_cvat_are_those_of_the_cells(tmp_path):
    PROGRAMS["cvat"].write(tmp_path, [proposal("one", 4, (ODD, "b"))], Shapes())
    tree = ElementTree.parse(tmp_path / "cvat/annotations.xml").getroot()
    labels = json.loads((tmp_path / "cvat/labels.json").read_text())
    assert {mask.get("label") for mask in tree.iter("mask")} == {label["name"] for label in labels}
    (image,) = tree.iter("image")
    assert (image.get("name"), image.get("height"), image.get("width")) == ("one.png", "60", "80")


def test_fiji_has_no_file_of_an_image_without_cells(tmp_path):
    losses = PROGRAMS["fiji"].write(tmp_path, [proposal("a", 3), proposal("none", 0)], Shapes())
    assert sorted(losses.values()) == [1, 1]  # a cell without a pixel, an image without a cell
    assert [path.name for path in (tmp_path / "fiji").iterdir()] == ["a.zip"]


def test_names_of_programs():
    assert [program.name for program in programs_of("cvat, fiji")] == ["cvat", "fiji"]
    with pytest.raises(CellMMError, match="no such program"):
        programs_of("cvat,")
