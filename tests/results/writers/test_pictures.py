"""Pictures of the cells on their image."""

import base64
import xml.etree.ElementTree as ET

import cv2
import numpy as np
import pytest

from cellmm.errors import CellMMError
from cellmm.results import Instances
from cellmm.results.writers import build_writers, tell_losses
from cellmm.structures import MaskRuns
from cellmm.testing.writers import ArraySource
from cellmm.visualization import class_colors, draw_instances, legend, to_display

SVG = "{http://www.w3.org/2000/svg}"


def test_png(odd, source, tmp_path):
    (writer,) = build_writers("png")
    writer.write(tmp_path / "a.png", odd, source)
    picture = cv2.imread(str(tmp_path / "a.png"))[..., ::-1]
    colors = class_colors(len(odd.classes))
    masks, scores = odd.masks.to_rles(), odd.scores.tolist()
    drawn = draw_instances(source.image, masks, scores, colors=colors[odd.labels])
    np.testing.assert_array_equal(picture, legend(drawn, odd.classes, colors))


def test_svg(odd, source, tmp_path):
    (writer,) = build_writers("svg")
    writer.write(tmp_path / "a.svg", odd, source)
    root = ET.parse(tmp_path / "a.svg").getroot()
    assert root.get("viewBox") == "0 0 40 30"
    assert root.find(f"{SVG}title").text == odd.name
    kind, data = root.find(f"{SVG}image").get("href").split(",")
    assert kind == "data:image/png;base64"
    image = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    np.testing.assert_array_equal(image, to_display(source.image))
    paths = list(root.iter(f"{SVG}path"))
    assert [path.find(f"{SVG}title").text for path in paths][1] == "2 größe/2 & <b> 0.500"
    colors = [f"#{bytes(color).hex()}" for color in class_colors(len(odd.classes))[odd.labels].tolist()]
    assert [path.get("fill") for path in paths] == colors and len(set(colors)) > 1


@pytest.mark.parametrize("name", ["png", "svg"])
def test_images_that_cannot_be_shown(name, odd, tmp_path):
    (writer,) = build_writers(name)
    image = np.full((30, 40, 1), np.nan, np.float32)
    with pytest.raises(CellMMError, match=f"plate .*cannot be drawn .*NaN.*leave out {name}"):
        writer.write(tmp_path / f"a.{name}", odd, ArraySource(image))
    assert not list(tmp_path.iterdir())


def test_pictures_of_large_images_are_smaller(tmp_path):
    image = np.arange(3, dtype=np.uint8)[:, None, None] * 90 + np.zeros((3, 9000, 1), np.uint8)
    image[:, 6000:] += 60
    masks = MaskRuns.from_crops([np.ones((3, 3000), bool)], [(0, 3000)], (3, 9000))
    cells = Instances(masks, np.ones(1, np.float32), np.zeros(1, np.int64), name="a")
    for writer in build_writers("png,svg"):
        losses = writer.write(tmp_path / f"a.{writer.option}", cells, ArraySource(image))
        assert tell_losses(writer.option, losses).startswith(f"{writer.option}: left out 1 pictures in full")
    picture = cv2.imread(str(tmp_path / "a.png"))
    assert picture.shape[1] == 3000
    root = ET.parse(tmp_path / "a.svg").getroot()
    assert root.get("viewBox") == "0 0 9000 3"  # the paths are in full size
    (path,) = root.iter(f"{SVG}path")
    assert path.get("d") == "M3000,0 6000,0 6000,3 3000,3Z"
    data = base64.b64decode(root.find(f"{SVG}image").get("href").split(",")[1])
    embedded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(embedded, to_display(image[::3, ::3]))
