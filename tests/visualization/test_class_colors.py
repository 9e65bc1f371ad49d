"""With several classes a cell has the colour of its class, everywhere, and a legend names the classes."""

import numpy as np
import torch
from mmengine.structures import InstanceData

from cellmm.io.images import read_image
from cellmm.io.sources import open_image
from cellmm.results.instances import Instances
from cellmm.results.report.preview import draw_preview
from cellmm.results.writers import GeoJSONWriter, PngWriter, SvgWriter
from cellmm.structures import CellSample, LabelLayers, MaskRuns
from cellmm.visualization import CellVisualizer, class_colors, instance_colors, legend
from cellmm.visualization.contact_sheet import draw_contact_sheet

CLASSES = ("round", "long")
SHAPE = 40, 160


def cells(classes: tuple[str, ...]) -> Instances:
    """Three cells far from each other, of classes 0, 1 and 0."""
    crops = [np.ones((20, 20), bool)] * 3
    masks = MaskRuns.from_crops(crops, [(10, 10), (10, 60), (10, 110)], SHAPE)
    labels = np.array([0, 1, 0]) % len(classes)
    ids = tuple(range(1, len(classes) + 1))
    return Instances(masks, np.full(3, 0.9, np.float32), labels, classes=classes, category_ids=ids, name="a")


def outline(picture: np.ndarray, left: int, scale: int = 1) -> list[int]:
    """The colour of the outline of the cell that begins at column ``left``."""
    return picture[20 * scale, left * scale].tolist()


def test_colours_are_of_the_class_where_there_are_several():
    boxes = np.array([[0, 0, 5, 5], [50, 0, 55, 5], [90, 0, 95, 5]])
    assert np.array_equal(instance_colors(boxes, [1, 0, 1], 2), class_colors(2)[[1, 0, 1]])
    assert len(np.unique(instance_colors(boxes, None, 1), axis=0)) == 3
    assert len(np.unique(class_colors(4), axis=0)) == 4


def test_a_legend_shows_each_colour_and_takes_the_lines_that_it_needs():
    colors = class_colors(4)
    wide = legend(np.zeros((5, 600, 3), np.uint8), ["a", "b", "c", "\u00b5"], colors)
    narrow = legend(np.zeros((5, 40, 3), np.uint8), ["a", "b", "c", "d"], colors)
    assert wide.shape == (5 + 22, 600, 3) and narrow.shape == (5 + 4 * 22, 40, 3)
    for picture in (wide, narrow):
        shown = {tuple(pixel) for pixel in picture[5:].reshape(-1, 3).tolist()}
        assert {tuple(color) for color in colors.tolist()} <= shown


def test_overlays_previews_and_geojson_have_the_same_colours(tmp_path):
    image = open_image(np.full((*SHAPE, 3), 90, np.uint8), name="a")
    found, expected = cells(CLASSES), class_colors(2).tolist()
    PngWriter().write(tmp_path / "a.png", found, image)
    overlay = read_image(tmp_path / "a.png").astype(np.uint8)
    assert overlay.shape == (4 * 40 + 22, 4 * 160, 3)
    preview = draw_preview(image, found)
    for picture in (overlay, preview):
        scale = picture.shape[1] // SHAPE[1]
        assert [outline(picture, left, scale) for left in (10, 60, 110)] == [expected[i] for i in (0, 1, 0)]
    SvgWriter().write(tmp_path / "a.svg", found, image)
    text = (tmp_path / "a.svg").read_text()
    hexes = [bytes(color).hex() for color in expected]
    assert [text.count(f'fill="#{color}"') for color in hexes] == [2, 1]
    assert "<title>2 long 0.900</title>" in text
    GeoJSONWriter().write(tmp_path / "a.geojson", found, image)
    assert str(expected[1]).replace(" ", "") in (tmp_path / "a.geojson").read_text().replace(" ", "")
    one = PngWriter()
    one.write(tmp_path / "one.png", cells(("cell",)), image)
    picture = read_image(tmp_path / "one.png").astype(np.uint8)
    assert len({tuple(outline(picture, left, 4)) for left in (10, 60, 110)}) == 3


def sample() -> CellSample:
    found = cells(CLASSES)
    rles, labels = found.masks.to_rles(), torch.from_numpy(found.labels)
    sample = CellSample(metainfo=dict(img_id=1, img_path="a.tif", ori_shape=SHAPE, img_shape=SHAPE))
    sample.eval_instances = InstanceData(masks=rles, labels=found.labels, ignore=np.zeros(3, bool))
    sample.pred_instances = InstanceData(masks=rles, labels=labels, scores=torch.ones(3))
    sample.gt_layers = torch.from_numpy(LabelLayers.from_rles(rles, SHAPE).layers)
    sample.gt_instances = InstanceData(labels=labels)
    return sample


def test_pictures_of_training_and_test(tmp_path):
    expected = class_colors(2).tolist()
    visualizer = CellVisualizer()
    visualizer.dataset_meta = dict(classes=CLASSES)
    image = np.full((*SHAPE, 3), 90, np.uint8)
    visualizer.add_datasample("a", image, sample(), out_file=tmp_path / "a.png", scale=2)
    picture = read_image(tmp_path / "a.png").astype(np.uint8)
    for left in (0, 2 * 160 + 6):  # annotation, prediction
        part = picture[22:, left:]
        assert [outline(part, x, 2) for x in (10, 60, 110)] == [expected[i] for i in (0, 1, 0)]
    item = dict(inputs=torch.zeros(3, *SHAPE), data_samples=sample())
    plain, named = draw_contact_sheet([item]), draw_contact_sheet([item], CLASSES)
    assert named.shape == (plain.shape[0] + 22, *plain.shape[1:])
    colors = {tuple(pixel) for pixel in named[:-22].reshape(-1, 3).tolist()}
    assert {tuple(color) for color in expected} <= colors
