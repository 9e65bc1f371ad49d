"""Fields of cells copied from annotated images."""

import json

import numpy as np
import pytest

from cellmm.errors import CellMMError
from cellmm.io.coco_results import write_coco
from cellmm.simulation import SceneConfig, make_dataset
from cellmm.synthesis import FieldOptions, open_sources, paste_field
from cellmm.synthesis.backgrounds import without_cells
from cellmm.synthesis.fields import whole_counts

OPTIONS = FieldOptions(size=(80, 90), cells=(3, 6), blur=2.0, elastic_magnitude=1.0)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("fields") / "data"
    scene = SceneConfig(size=(96, 96), pixel=1.0, cells=(3, 5), min_visible=20)
    make_dataset(root, splits=dict(train=3), scene=scene, extra_modalities=True)
    return root / "train"


def opened(data):
    return open_sources(data / "annotations.json", data / "phase", data / "nuclei")


def test_a_field_depends_on_its_number_alone(data):
    sources = opened(data)
    later = [paste_field(sources, number, OPTIONS) for number in (1, 2, 3)][2]
    field = paste_field(opened(data), 3, OPTIONS)
    assert np.array_equal(field.image, later.image) and field.entries == later.entries
    assert np.array_equal(field.cells.layers, later.cells.layers)
    assert field.image.shape == (80, 90, 1) and len(field.nuclei) == len(field.cells) == len(field.entries)
    other = paste_field(sources, 3, FieldOptions(**vars(OPTIONS) | dict(seed=1)))
    assert not np.array_equal(field.image, other.image)


def test_a_field_of_a_background_has_its_light(data):
    """Without pasted cells, it is a source without its cells, turned; pasted cells bring their difference."""
    sources = opened(data)
    for number in (1, 2, 3):
        options = FieldOptions(**vars(OPTIONS) | dict(onto="backgrounds", cells=(0, 0)))
        bare = paste_field(sources, number, options).image
        rng = np.random.default_rng([options.seed, number])
        first = int(rng.permutation(3)[0])
        rng.integers(0, 1)
        made = without_cells(sources[first]["img"], sources.background(first), rng)
        turned = [np.rot90(made, i) for i in range(4)]
        assert any(np.array_equal(bare, part) for one in turned for part in (one, one[:, ::-1]))
    bare, field = (
        paste_field(sources, 1, FieldOptions(**vars(OPTIONS) | dict(onto="backgrounds", cells=(n, n))))
        for n in (0, 1)
    )
    (entry,) = field.entries
    image, annotation = entry["source"]["image_id"], entry["source"]["annotation_id"]
    source, light = sources[image - 1], sources.background(image - 1).light
    cell = (source["gt_layers"].layers == sources.ids[image].index(annotation) + 1).any(0)
    difference = (field.image - bare.image)[field.cells.covered()].mean()
    assert difference == pytest.approx((source["img"] - light)[cell].mean(), rel=0.1)


def test_cells_of_the_first_images_alone(data):
    paths = data / "annotations.json", data / "phase"
    fields = [paste_field(open_sources(*paths, first=1), number, OPTIONS) for number in (1, 2, 3)]
    assert {entry["source"]["image_id"] for field in fields for entry in field.entries} == {1}
    assert open_sources(*paths, first=1).digest() != open_sources(*paths).digest()
    for first in (0, 4):
        with pytest.raises(CellMMError, match=f"--first {first}, but 3 images may be used; give 1 to 3"):
            open_sources(*paths, first=first)


def test_cells_that_are_all_cut_by_the_border(data):
    content = json.loads((data / "annotations.json").read_text())
    kept = [cell for cell in content["annotations"] if min(cell["bbox"][:2]) == 0]
    assert kept
    write_coco(data / "cut.json", content | dict(annotations=kept))
    with pytest.raises(CellMMError, match=r"cut\.json: no cell of 3 images can be copied"):
        paste_field(open_sources(data / "cut.json", data / "phase"), 1, OPTIONS)


def test_whole_counts_of_values_that_are_beyond():
    image = np.array([[[-2.0, 0.4], [99.6, 100.6]]], np.float32)
    counts, clipped = whole_counts(image, 100)
    assert counts.tolist() == [[[0, 100]], [[0, 100]]] and counts.dtype == np.uint16 and clipped == 2


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (dict(scale=(0.0, 1)), r"scale must be \(lowest, highest\), at least"),
        (dict(rotate=(9, 1)), r"rotate must be \(lowest, highest\), got \(9, 1\)"),
        (dict(blur=-1.0), "blur must be 0 px or more, got -1.0"),
        (dict(seed=-1), "seed must be 0 or more"),
        (dict(background=5.0, onto="backgrounds"), "background is measured in each image"),
        (dict(mode="mean"), "mode must be 'add' or 'replace'"),
    ],
)
def test_options_out_of_range(options, line):
    with pytest.raises(ValueError, match=line):
        FieldOptions(**options)
