"""Tiles by memory, their overlap by the cells."""

import pytest

from cellmm.errors import CellMMError
from cellmm.models.tile_choice import bytes_per_pixel, choose_overlap, choose_tile
from cellmm.registry import MODELS


def build(widths=(4, 8, 8), **encoder):
    return MODELS.build(
        dict(
            type="CellSegmentor",
            data_preprocessor=dict(type="CellDataPreprocessor", in_channels=1),
            encoder=dict(type="SEUNetEncoder", widths=widths, **encoder),
            decoder=dict(type="SEUNetDecoder", widths=(6, 8)),
            heads=dict(cells=dict(type="SemanticHead", target="cells")),
            instance_head=None,
        )
    )


def test_bytes_follow_from_the_maps():
    """The finest level alone: the encoder's 4 channels, the decoder's 6 and the map stay."""
    needed = bytes_per_pixel(build())
    assert 4 * (1 + 4 + 6 + 1) < needed < 4 * 100
    assert bytes_per_pixel(build(stem_stride=2)) < needed / 2
    assert bytes_per_pixel(build(widths=(16, 8, 8))) > needed
    assert bytes_per_pixel(build()) == needed  # whatever the weights


def test_the_model_is_left_as_it_was():
    model = build().train()
    bytes_per_pixel(model)
    assert model.training and not any(layer._forward_hooks for layer in model.modules())
    model.eval()
    bytes_per_pixel(model)
    assert not model.training


def test_the_tile_fits_the_memory():
    model = build()
    needed = bytes_per_pixel(model)
    sides = [choose_tile(model, free) for free in (2**25, 2**27, 2**29)]
    assert sides == sorted(set(sides))
    for side, free in zip(sides, (2**25, 2**27, 2**29), strict=True):
        assert side % model.tile_step == 0
        assert needed * side**2 <= free < needed * (side + model.tile_step) ** 2
    assert choose_tile(model, 2**50) == 4096


def test_too_little_memory_is_said():
    with pytest.raises(CellMMError, match=r"tiles of 256 px need \d+ MiB, but 1 MiB are free"):
        choose_tile(build(), 2**20)


def test_the_overlap_holds_the_longest_cell():
    model = build()
    assert model.tile_step == 4 and model.margin == 0
    assert [choose_overlap(model, length) for length in (1, 100, 101.5)] == [4, 100, 104]
