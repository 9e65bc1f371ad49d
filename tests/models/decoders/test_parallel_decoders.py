"""Decoupled decoders: same maps in, own weights, own names out."""

import pytest
import torch

from cellmm.errors import CellMMError
from cellmm.models import feature_pyramid
from cellmm.registry import MODELS

NAMES = ("cytoplasm", "nuclei", "border", "background")


def build(names=NAMES, **more):
    decoders = {name: dict(type="SEUNetDecoder", widths=(4 + i, 6)) for i, name in enumerate(names)}
    return MODELS.build(
        dict(type="ParallelDecoders", in_specs=feature_pyramid((4, 8, 12)), decoders=decoders, **more)
    )


def features(size=16):
    return [torch.rand(2, c, size // 2**i, size // 2**i) for i, c in enumerate((4, 8, 12))]


@pytest.mark.parametrize("number", [1, 4])
def test_each_gives_what_it_gives_alone(number):
    decoder = build(NAMES[:number]).eval()
    assert decoder.out_specs == {
        name: feature_pyramid((4 + i, 6, 12)) for i, name in enumerate(NAMES[:number])
    }
    maps = features()
    found = decoder(maps)
    assert list(found) == list(NAMES[:number])
    for name, levels in found.items():
        assert [level.shape[1] for level in levels] == [s.channels for s in decoder.out_specs[name]]
        for level, alone in zip(levels, decoder.decoders[name](maps), strict=True):
            torch.testing.assert_close(level, alone)


def test_they_share_no_weight():
    decoder = build()
    decoder(features())["nuclei"][0].sum().backward()
    learned = {name for name, p in decoder.named_parameters() if p.grad is not None}
    assert learned and all(name.startswith("decoders.nuclei.") for name in learned)


def test_no_decoder_at_all_is_refused():
    with pytest.raises(CellMMError, match="model.decoder.decoders: empty"):
        build(())
