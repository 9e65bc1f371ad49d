"""Pictures of errors: colours of what happened, and large images at a bearable cost."""

import tracemalloc

import numpy as np
import tifffile

from cellmm.evaluation.functional import ClassInImage, find_errors
from cellmm.io.sources import ReadOptions
from cellmm.structures import rle as rle_ops
from cellmm.visualization.error_page import COLORS, MEANING, draw_errors, write_page


def boxes_on(shape, *boxes):
    masks = np.zeros((len(boxes), *shape), bool)
    for mask, (y0, x0, y1, x1) in zip(masks, boxes, strict=True):
        mask[y0:y1, x0:x1] = True
    return rle_ops.encode(masks)


def page_of(image, cells, predictions):
    scores, crowd = np.linspace(1, 0.5, len(predictions)), np.zeros(len(cells), bool)
    found = ClassInImage(predictions, scores, cells, crowd, rle_ops.area(cells))
    return draw_errors(image, {0: found}, {0: find_errors(found)})


def has_color(picture, kind):
    return (np.abs(picture.astype(int) - COLORS[kind]).max(-1) < 3).any()


def test_colors_of_a_small_image():
    shape = (50, 60)
    cells = boxes_on(shape, (5, 0, 15, 30), (5, 10, 15, 40), (30, 30, 40, 40))
    predictions = boxes_on(shape, (5, 0, 15, 30), (5, 9, 15, 25))
    picture = page_of(np.zeros((*shape, 1), np.float32), cells, predictions)
    left, right = picture[:, : picture.shape[1] // 2], picture[:, picture.shape[1] // 2 :]
    # The second cell is crossed by the first one, and has the colour of its poor boundary.
    assert all(has_color(left, kind) for kind in ("right", "boundary", "missed"))
    assert has_color(right, "right") and has_color(right, "boundary") and not has_color(right, "duplicate")
    assert picture.shape[1] == 2 * 15 * 60 + 6


def test_a_large_image_is_shrunk_before_it_is_drawn():
    shape = (2700, 3600)
    # Two that cross, a thin one that no pixel of the small picture would be half full of, and a missed one.
    cells = boxes_on(
        shape, (100, 100, 400, 1000), (100, 700, 400, 1600), (1000, 101, 1001, 3000), (2000, 2000, 2300, 2400)
    )
    image = np.zeros((*shape, 2), np.float32)
    tracemalloc.start()
    picture = page_of(image, cells, cells[:3])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert picture.shape == (1350 + 22, 2 * 1800 + 6, 3)
    assert peak < 20 * 2700 * 3600  # drawn at its own size: 60 bytes a pixel and more
    left = picture[22:, :1800]
    assert (left[100 // 2 + 5 : 400 // 2 - 5, 700 // 2 + 5 : 1000 // 2 - 5] == 255).all(-1).any()  # overlap
    assert not (left[:, 1000:] == 255).all(-1).any()
    assert has_color(left[490:510], "right") and has_color(left[990:1160, 990:1210], "missed")
    assert has_color(left[49:51], "right") and not has_color(left[:48], "right")


def test_every_kind_has_a_color_of_its_own_and_a_meaning():
    assert list(COLORS) == list(MEANING) and len(set(COLORS.values())) == len(COLORS)


def test_the_page_reads_images_as_the_dataset_did(tmp_path):
    """A frame of a film."""
    film = np.random.default_rng(0).integers(0, 60_000, (3, 50, 60), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", film, imagej=True, metadata={"axes": "TYX"})
    where = str(tmp_path / "a.tif"), ReadOptions(time=1)
    row = dict(img_id=1, image="a.tif", S=1.0)
    write_page(tmp_path / "page.html", title="x", tables=[], images=[(where, {}, {}, row)])
    assert (tmp_path / "images" / "001_a.jpg").is_file()
