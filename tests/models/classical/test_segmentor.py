"""ClassicalSegmentor: what is kept, what is discarded, scores, channels, bad input."""

import numpy as np
import pytest
import torch

from cellmm.errors import CellMMError
from cellmm.models.classical import ClassicalSegmentor
from cellmm.structures import CellSample
from cellmm.structures.rle import decode


def model(in_channels: int = 1, **options) -> ClassicalSegmentor:
    return ClassicalSegmentor(dict(type="CellDataPreprocessor", in_channels=in_channels), **options)


def squares(*places: tuple[int, int, int], level: float = 0.8, shape=(100, 120)) -> np.ndarray:
    """Squares (row, column, side) of one level on a background of 0.1."""
    image = np.full(shape, 0.1, np.float32)
    for row, col, side in places:
        image[row : row + side, col : col + side] = level
    return image


def sample_of(image: np.ndarray) -> CellSample:
    shape = image.shape[-2:]
    frame = dict(img_shape=shape, ori_shape=shape, to_original=np.eye(3), img_path="a.tif")
    return CellSample(metainfo=frame)


def predict(segmentor: ClassicalSegmentor, image: np.ndarray):
    image = image if image.ndim == 3 else image[None]
    batch = dict(inputs=[torch.from_numpy(image)], data_samples=[sample_of(image)])
    (found,) = segmentor.test_step(batch)
    return found.pred_instances


def test_objects_come_in_the_frame_of_the_image():
    image = squares((20, 30, 20), (60, 80, 15))
    found = predict(model(threshold=dict(smoothing_scale=0)), image)
    masks = [decode([mask])[0] for mask in found.masks]
    assert sorted(mask.sum() for mask in masks) == [225, 400]
    assert (np.any(masks, axis=0) == (image > 0.5)).all()
    assert found.labels.tolist() == [0, 0]


def test_sizes_outside_of_the_range_are_discarded():
    image = squares((10, 10, 4), (30, 30, 12), (30, 60, 45))
    assert len(predict(model(), image)) == 1
    assert len(predict(model(discard_outside=False), image)) == 3
    assert len(predict(model(diameter=(4, 60)), image)) == 3


def test_the_diameter_is_that_of_a_circle_of_the_same_area():
    side = 20  # the diameter of its circle is 22.6
    for limits, kept in (((22.4, 60), 1), ((22.7, 60), 0), ((5, 22.7), 1), ((5, 22.4), 0)):
        options = dict(threshold=dict(smoothing_scale=0), declumping=dict(distinguish="none"))
        assert len(predict(model(diameter=limits, **options), squares((40, 40, side)))) == kept


def test_the_border_of_the_image():
    image = squares((0, 30, 20), (40, 100, 20), (40, 40, 20))
    assert len(predict(model(), image)) == 1
    assert len(predict(model(discard_border=False), image)) == 3


def test_sides_inside_of_a_larger_image_discard_nothing():
    image = squares((0, 30, 6), (40, 100, 20), (93, 60, 7))  # the first and last are too small for (10, 40)
    segmentor = model()
    levels = segmentor.measure(image)
    assert len(segmentor.find(image, levels)) == 0
    assert len(segmentor.find(image, levels, inner=(True, False, False, False))) == 1
    assert len(segmentor.find(image, levels, inner=(True, True, True, True))) == 3


@pytest.mark.parametrize(
    ("fill_holes", "areas"), [("never", [400 - 36]), ("both", [400]), ("declumping", [400])]
)
def test_holes(fill_holes, areas):
    image = squares((40, 40, 20))
    image[47:53, 47:53] = 0.1
    options = dict(threshold=dict(smoothing_scale=0), declumping=dict(distinguish="none"))
    found = predict(model(fill_holes=fill_holes, **options), image)
    assert [int(decode([mask])[0].sum()) for mask in found.masks] == areas


@pytest.mark.parametrize(("contrast", "number"), [("bright", 0), ("dark", 2), ("auto", 2)])
def test_dark_objects(contrast, number):
    image = 1 - squares((20, 30, 20), (60, 80, 15))
    assert len(predict(model(contrast=contrast), image)) == number


def test_auto_contrast_says_what_it_chose(monkeypatch):
    told = []
    monkeypatch.setattr("cellmm.models.classical.segmentor.print_log", lambda line, **_: told.append(line))
    image = squares((20, 30, 20))
    segmentor = model(contrast="auto")
    assert len(predict(segmentor, image)) == len(predict(segmentor, 1 - image)) == 1
    assert [line.split(" on ")[0] for line in told] == ["a.tif: bright cells", "a.tif: dark cells"]


@pytest.mark.parametrize("number", range(1, 9))
def test_channels(number):
    image = np.full((number, 100, 120), 0.5, np.float32)
    image[-1] = squares((20, 30, 20))
    assert len(predict(model(number, channel=number - 1), image)) == 1
    assert len(predict(model(number), image)) == 1
    if number > 1:
        assert len(predict(model(number, channel=0), image)) == 0


def test_scores_are_contrast():
    image = squares((20, 30, 20), level=0.9)
    image[60:75, 80:95] = 0.5
    found = predict(model(threshold=dict(method="manual", value=0.3, smoothing_scale=0)), image)
    assert found.scores.tolist() == pytest.approx([0.8 / (0.8 + 0.2), 0.4 / (0.4 + 0.2)], abs=1e-4)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (7, 1), (100, 100)])
@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("contrast", ["bright", "dark", "auto"])
def test_an_image_of_one_value_holds_no_cell(shape, value, contrast):
    segmentor = model(contrast=contrast, discard_border=False, discard_outside=False)
    assert len(predict(segmentor, np.full(shape, value, np.float32))) == 0


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite(value):
    image = squares((20, 30, 20))
    image[3, 4] = value
    with pytest.raises(CellMMError, match=r"a\.tif: pixels that are not finite"):
        predict(model(), image)


@pytest.mark.parametrize("factor", [255, 65535])
def test_values_outside_of_0_to_1_name_the_cure(factor):
    with pytest.raises(CellMMError, match=r"a\.tif: values from .* Normalize"):
        predict(model(), squares((20, 30, 20)) * factor)


def test_thousands_of_objects():
    image = np.full((800, 800), 0.1, np.float32)
    for row in range(4, 790, 11):
        for col in range(4, 790, 11):
            image[row : row + 7, col : col + 7] = 0.9
    found = predict(model(diameter=(4, 20)), image)
    assert len(found) == 72 * 72 > 5000


def test_a_batch_is_cut_to_its_images():
    images = [squares((20, 30, 20))[None], squares((10, 10, 20), shape=(50, 40))[None]]
    batch = dict(inputs=[torch.from_numpy(x) for x in images], data_samples=[sample_of(x) for x in images])
    found = model().test_step(batch)
    assert [len(sample.pred_instances) for sample in found] == [1, 1]
    assert found[1].pred_instances.masks[0]["size"] == [50, 40]


def test_tensor_mode_gives_label_images():
    image = torch.from_numpy(squares((20, 30, 20), (60, 80, 15)))
    labels = model()(image[None, None])
    assert labels.shape == (1, 100, 120) and labels.dtype == torch.int32 and labels.max() == 2


def test_it_cannot_be_trained():
    with pytest.raises(CellMMError, match="no weights"):
        model()(torch.zeros(1, 1, 8, 8), [], mode="loss")


@pytest.mark.parametrize(
    "wrong",
    [
        dict(diameter=(0, 5)),
        dict(diameter=(9, 5)),
        dict(contrast="both"),
        dict(fill_holes="always"),
        dict(channel=1),
        dict(channel=-1),
        dict(tile=8, tile_overlap=5),
    ],
)
def test_wrong_arguments(wrong):
    with pytest.raises((ValueError, CellMMError), match=next(iter(wrong))):
        model(**wrong)
