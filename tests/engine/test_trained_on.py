"""What a checkpoint says of the images of training: written, kept, handed on, and asked for."""

import numpy as np
import pytest
import torch

from cellmm.engine.trained_on import TrainedOn, scales_of
from cellmm.errors import CellMMError
from cellmm.models.cell_size import DiameterFinder
from cellmm.models.tile_choice import TILE_BYTES, choose_tile
from cellmm.registry import MODELS
from cellmm.structures import CellSample

SEEN = TrainedOn(size=(256, 512), scale=(0.5, 0.5))


def sample(scale_x=1.0, scale_y=1.0):
    return CellSample(metainfo=dict(img_path="a.tif", to_original=np.diag([1 / scale_x, 1 / scale_y, 1])))


@pytest.mark.parametrize(
    ("shape", "exceeds"),
    [((256, 512), False), ((512, 256), False), ((383, 767), False), ((384, 512), True), ((100, 768), True)],
)
def test_clearly_larger_is_by_half(shape, exceeds):
    assert SEEN.is_exceeded_by(shape) == exceeds


def test_what_exceeds_training_is_larger_than_a_tile():
    model = tiny(se=True)
    assert TrainedOn((100, 400), (1.0, 1.0)).tile_for(model) == (100, 25)  # 200 x 400 px go in tiles


def test_the_tile_of_a_local_network_follows_the_memory():
    seen, model = TrainedOn((100, 400), (1.0, 1.0)), tiny(se=False)
    tile, overlap = seen.tile_for(model)
    assert tile == choose_tile(model, TILE_BYTES) > 1000
    assert overlap == tile // 4
    assert TrainedOn((5000, 5000), (1.0, 1.0)).tile_for(model) == (5000, 1250)


def test_tiles_share_a_few_cells_where_their_size_is_known():
    model = tiny(se=False)
    model.cell_size = DiameterFinder(diameter=20.5)
    assert TrainedOn((100, 400), (1.0, 1.0)).tile_for(model)[1] == 82


def test_the_tile_of_a_large_local_network_is_that_of_training(monkeypatch):
    monkeypatch.setattr("cellmm.engine.trained_on.TILE_BYTES", 1)
    tile, _ = TrainedOn((300, 400), (1.0, 1.0)).tile_for(tiny(se=False))
    assert tile == 300


def tiny(**encoder):
    return MODELS.build(
        dict(
            type="CellSegmentor",
            data_preprocessor=dict(type="CellDataPreprocessor", in_channels=1),
            encoder=dict(type="SEUNetEncoder", widths=(4, 8), **encoder),
            decoder=dict(type="SEUNetDecoder", widths=(6,), **encoder),
            heads=dict(cells=dict(type="SemanticHead", target="cells")),
            instance_head=None,
        )
    )


def test_the_scale_of_training_is_asked_for():
    SEEN.check_scale(sample(0.5, 0.52), (300, 300))
    TrainedOn(SEEN.size, (0.5, 1.0)).check_scale(sample(0.7, 0.9), (300, 300))
    SEEN.check_scale(sample(0.5, 4 / 7), (4, 4))  # 7 px by half are 4 px
    for packed, scale in ((sample(0.25, 0.25), "0.25"), (sample(0.5, 0.6), "0.6"), (sample(1, 0.5), "1")):
        with pytest.raises(CellMMError) as caught:
            SEEN.check_scale(packed, (300, 300))
        assert str(caught.value) == (
            f"a.tif: the pipeline scales its cells by {scale}, in training it was 0.5; replace Resize or "
            "ResizeTo by dict(type='Rescale', factor=0.5), or crop the image"
        )
    assert scales_of(CellSample()) == (1, 1)


def test_files_of_any_pixel_size_have_the_scale_of_training_where_the_pipeline_makes_them_alike():
    seen = TrainedOn((256, 512), (1.0, 1.0), (0.5, 0.5))
    for size in ((0.5, 0.5), (0.1, 0.25)):
        packed = sample(size[1] / 0.5, size[0] / 0.5)
        packed.set_metainfo(dict(pixel_size=size, model_pixel_size=(0.5, 0.5)))
        assert scales_of(packed) == pytest.approx((1, 1))
        seen.check_scale(packed, (300, 300))
    with pytest.raises(CellMMError, match=r"^a\.tif: the network was trained on pixels of 0\.5 x 0\.5 micro"):
        seen.check_scale(sample(), (300, 300))


@pytest.mark.parametrize(
    "meta",
    [
        dict(size=[1, 2, 3], scale=[1, 1]),
        dict(size=[2, 1], scale=[1, 1]),
        dict(size=[1, 2], scale=[0, 1]),
        dict(size=[1, 2], scale=[1, float("nan")]),
        dict(size=[1, float("inf")], scale=[1, 1]),
        dict(size=["a", 2], scale=[1, 1]),
        dict(size=5, scale=[1, 1]),
        dict(scale=[1, 1]),
        dict(size=[1, 2], scale=[1, 1], diameter=0),
        dict(size=[1, 2], scale=[1, 1], pixel_size=[0.5]),
        dict(size=[1, 2], scale=[1, 1], pixel_size=[0.5, -1]),
    ],
)
def test_a_damaged_note_is_one_line(meta):
    with pytest.raises(CellMMError, match=r"^a.pth: its meta.trained_on is damaged; "):
        TrainedOn.from_meta(dict(trained_on=meta), "a.pth")


def test_earlier_checkpoints_say_nothing():
    assert TrainedOn.from_meta(dict(iter=3), "a.pth") is None
    for seen in (SEEN, TrainedOn((1, 2), (1.0, 1.0), (0.65, 0.5), 12.5)):
        assert TrainedOn.from_meta(dict(trained_on=seen.to_meta()), "a.pth") == seen


def noted(path):
    return torch.load(path, weights_only=True)["meta"]["trained_on"]
