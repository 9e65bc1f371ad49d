"""Images that are predicted tile by tile find what the whole image shows, with a model of bright spots."""

import threading

import numpy as np
import pytest
import tifffile

from cellmm.apis.inferencer import CellInferencer
from cellmm.apis.tile_plan import TilePlan, step_in_file
from cellmm.errors import CellMMError
from tests.fuzz.exact_model import write_exact_model

DIVIDE = "[dict(type='Normalize', mode='divide', divisor=1000)]"


def spots(shape, seed=0, level=900):
    """Squares of 5 and 7 px that do not touch, and long bars."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 50, shape).astype(np.uint16)
    for y in range(3, shape[0] - 9, 12):
        for x in range(3, shape[1] - 9, 12):
            side = rng.choice([0, 5, 7])
            image[y : y + side, x : x + side] = level
    image[40:43, 10:90] = level
    image[30:110, 60:62] = 0
    image[34:106, 64:67] = level
    return image


@pytest.fixture
def inferencer(tmp_path):
    def build(tile, overlap=0, steps=DIVIDE, **more):
        config, weights = write_exact_model(tmp_path, f"*{steps}", more.pop("meta", {}))
        options = {"model.tile": tile, "model.tile_overlap": overlap}
        return CellInferencer(config, weights, "cpu", options, **more)

    return build


def same(found, whole):
    assert len(found) == len(whole) > 5
    masks = [sorted(mask["counts"] for mask in cells.masks.to_rles()) for cells in (found, whole)]
    assert masks[0] == masks[1]
    assert np.array_equal(np.sort(found.labels), np.sort(whole.labels))


@pytest.mark.parametrize(("tile", "overlap"), [(64, 32), (64, 8), (48, 0), (100, 20)])
@pytest.mark.parametrize("norm", ["'divide', divisor=1000", "'percentile', percentiles=(1, 99)"])
def test_tiles_of_a_file_find_what_the_whole_image_shows(inferencer, tmp_path, tile, overlap, norm):
    tifffile.imwrite(tmp_path / "a.tif", spots((131, 170)), tile=(32, 32))
    steps = f"[dict(type='Normalize', mode={norm})]"
    whole = inferencer(None, steps=steps).predict(tmp_path / "a.tif")
    found = inferencer(tile, overlap, steps=steps).predict(tmp_path / "a.tif")
    same(found, whole)
    assert found.name == "a" and found.classes == ("small", "large")


def test_the_image_is_read_in_parts(inferencer, tmp_path, monkeypatch):
    tifffile.imwrite(tmp_path / "a.tif", spots((131, 170)), tile=(32, 32))
    tiled = inferencer(64, 16)
    (source,) = tiled.open(tmp_path / "a.tif")
    plan = tiled.large.plan(source)
    monkeypatch.setattr(type(source), "read_all", lambda self: pytest.fail("the whole image is read"))
    result = tiled.large.predict(source, plan)
    assert result.tiled and len(result.instances) > 5


def test_a_part_that_is_blank_is_normalised_as_the_rest(inferencer):
    """Without the statistics of the whole image, noise in a tile without cells would be cells."""
    image = spots((131, 170))
    image[:, :100] = np.random.default_rng(1).integers(0, 50, (131, 100))
    steps = "[dict(type='Normalize', mode='percentile', percentiles=(1, 99))]"
    same(inferencer(48, 8, steps=steps).predict(image), inferencer(None, steps=steps).predict(image))


@pytest.mark.parametrize(("factor", "tile"), [(2, 256), (0.5, 64)])
def test_tiles_are_those_of_the_scaled_image(inferencer, factor, tile):
    image = np.kron(spots((140, 170)), np.ones((2, 2), np.uint16))
    steps = f"[dict(type='Rescale', factor={factor}), *{DIVIDE}]"
    whole, tiled = inferencer(None, steps=steps), inferencer(tile, 16, steps=steps)
    (source,) = tiled.open(image)
    plan = tiled.large.plan(source)
    assert plan.tile * factor == tile and plan.overlap * factor == 16
    same(tiled.predict(image), whole.predict(image))


def test_images_that_are_not_scaled_alike_are_predicted_whole(inferencer):
    crop = "dict(type='CropRegion', y0=0, x0=0, y1=90, x1=90)"
    for step in ("dict(type='ResizeTo', size=(100, 100))", crop):
        tiled = inferencer(64, 16, steps=f"[{step}, *{DIVIDE}]")
        assert tiled.large.plan(tiled.open(spots((131, 170)))[0]) is None
    tiled = inferencer(64, 16)
    assert tiled.large.plan(tiled.open(np.zeros((64, 50), np.uint16))[0]) is None


def test_a_crop_that_reaches_beyond_the_images_that_show_the_scale(inferencer):
    """As the well of the worms of BBBC010 does."""
    crop = "dict(type='CropRegion', y0=10, x0=20, y1=290, x1=330)"
    steps = f"[{crop}, *{DIVIDE}]"
    tiled = inferencer(None, steps=steps, meta=dict(trained_on=dict(size=[280, 310], scale=[1.0, 1.0])))
    same(tiled.predict(spots((300, 340))), inferencer(None, steps=steps).predict(spots((300, 340))))
    with pytest.raises(CellMMError, match="smaller than the region to crop"):
        tiled.predict(spots((131, 170)))


def test_images_larger_than_those_of_training(inferencer, tiles_of_training):
    meta = dict(trained_on=dict(size=[64, 64], scale=[1.0, 1.0]))
    own = inferencer(None, meta=meta)
    image = spots((131, 170))
    (source,) = own.open(image)
    plan = own.large.plan(source)
    assert own.own_tile == (64, 16)
    assert (plan.tile, plan.overlap, len(plan.grid)) == (55, 16, 12)  # as many as tiles of 64 px would be
    same(own.predict(image), inferencer(None).predict(image))
    assert own.large.plan(own.open(image[:90, :90])[0]) is None
    assert inferencer(None, meta=meta, whole=True).large is None
    with pytest.raises(CellMMError, match="the pipeline scales its cells by 0.5"):
        half = inferencer(None, meta=meta, steps=f"[dict(type='Rescale', factor=0.5), *{DIVIDE}]")
        half.predict(image)


def test_the_overlap_follows_the_cells(inferencer, tiles_of_training):
    """In an image of many tiles: most cells have 7 px, the bars are found in windows."""
    meta = dict(trained_on=dict(size=[96, 96], scale=[1.0, 1.0]))
    image = spots((500, 520))
    own = inferencer(None, meta=meta)
    plan = own.large.plan(own.open(image)[0])
    assert plan.tile == 95 and plan.overlap == 7 + 6 < own.own_tile[1]
    same(own.predict(image), inferencer(None).predict(image))
    few = np.zeros((500, 520), np.uint16)
    few[50:55, 50:55] = 900
    assert own.large.plan(own.open(few)[0]).overlap == 24


@pytest.mark.parametrize("tile", [48, None])
def test_an_image_is_planned_while_the_model_works_on_another(
    inferencer, tiles_of_training, tile, monkeypatch
):
    """The next image is planned in a thread, at any moment: the same plan, and one network at a time."""
    meta = dict(trained_on=dict(size=[96, 96], scale=[1.0, 1.0]))
    own = inferencer(tile, 12 if tile else 0, meta=meta)
    (source,) = own.open(spots((500, 520)))
    expected = own.large.plan(source)
    step, running, threads, plans = own.model.test_step, [], [], []

    def test_step(batch):
        if not threads:
            threads.append(threading.Thread(target=lambda: plans.append(own.large.plan(source))))
            threads[0].start()
            threads[0].join(0.3)
        running.append(threading.get_ident())
        found = step(batch)
        assert running.pop() == threading.get_ident() and not running
        return found

    monkeypatch.setattr(own.model, "test_step", test_step)
    same(own.predict(spots((131, 170))), inferencer(None).predict(spots((131, 170))))
    threads[0].join()
    assert plans == [expected] and own.model.tile == tile


def test_scores_are_cut_after_the_tiles_are_joined(inferencer):
    assert len(inferencer(64, 16, score_thr=0.95).predict(spots((131, 170)))) == 0


def test_steps_in_the_pixels_of_the_file():
    assert (step_in_file(0.3, 32, most=96), step_in_file(0.3, 32, most=95)) == (320, 107)
    plan = TilePlan.of((1000, 2000), 0.7, 256, 100, step=32, margin=10)
    assert plan.tile % plan.step == plan.overlap % plan.step == 0 and plan.tile * 0.7 >= 256
    assert plan.margin == 15 and TilePlan.from_dict(plan.to_dict()) == plan
