"""The contracts of encoders and decoders, tested: cellmm/models/encoders/base.py."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from cellmm.models.derive import build_derived, from_specs
from cellmm.models.encoders.base import divisor, min_size
from cellmm.models.feature_spec import FeatureSpec, feature_pyramid
from cellmm.registry import MODELS
from cellmm.testing.generated import SIDE
from cellmm.testing.rules import must_work, name_of, require

CHANNELS = 2  # of the generated images
IN_SPECS = feature_pyramid((4, 6, 8))


def check_encoder(config: dict) -> None:
    """Test that an encoder follows ``Encoder``: its maps are those of ``out_specs``, and all of it learns.

    It gets images of two channels, of two sizes that are multiples of its divisor.

    Raises:
        CellMMError: one line that names the encoder and the rule.
    """
    name = name_of(config)
    with must_work(name, "building it"):
        encoder = build_derived(MODELS, config, name, in_channels=CHANNELS)
    specs = _check_specs(name, getattr(encoder, "out_specs", None))
    multiple = divisor(encoder)
    require(isinstance(multiple, int) and multiple >= 1, name, "divisor must be a whole number from 1")
    least = max(SIDE, *min_size(encoder))
    for height, width in ((least, least), (least + multiple, least)):
        size = height + -height % multiple, width + -width % multiple
        with must_work(name, f"a batch of {size[0]} x {size[1]} pixels"):
            features = encoder(torch.rand(2, CHANNELS, *size))
        _check_features(name, features, specs, size)
    _check_learns(name, encoder, features)


def check_decoder(config: dict, *, in_specs: Sequence[FeatureSpec] = IN_SPECS) -> None:
    """Test that a decoder follows ``Decoder``: its maps are those of ``out_specs``, and all of it learns.

    Args:
        config: of the decoder.
        in_specs: of the maps that it takes, finest first; the default has 4, 6 and 8 channels at strides 1,
            2 and 4.

    Raises:
        CellMMError: one line that names the decoder and the rule.
    """
    name = name_of(config)
    with must_work(name, "building it"):
        decoder = build_derived(MODELS, config, name, **from_specs(tuple(in_specs)))
    out_specs = getattr(decoder, "out_specs", None)
    groups = out_specs if isinstance(out_specs, Mapping) else {"": out_specs}
    for specs in groups.values():
        _check_specs(name, specs)
    with must_work(name, "a batch of two images"):
        found = decoder(random_maps(in_specs, (SIDE, SIDE)))
    alike = isinstance(found, Mapping) == isinstance(out_specs, Mapping)
    require(alike, name, "it must give a dict of lists where out_specs is a dict, else a list")
    found = found if isinstance(found, Mapping) else {"": found}
    require(found.keys() == groups.keys(), name, "it must give the maps of every name of out_specs")
    for key, specs in groups.items():
        _check_features(name, found[key], specs, (SIDE, SIDE))
    _check_learns(name, decoder, [level for features in found.values() for level in features])


def random_maps(specs: Sequence[FeatureSpec], size: tuple[int, int], batch: int = 2) -> list[Tensor]:
    """Maps as a decoder or a head takes them, of images of ``size`` (h, w)."""
    generator = torch.Generator().manual_seed(0)
    sizes = [[-(-(side - 2 * spec.origin) // spec.stride) for side in size] for spec in specs]
    return [
        torch.randn(batch, spec.channels, *sides, generator=generator)
        for spec, sides in zip(specs, sizes, strict=True)
    ]


def _check_specs(name: str, specs: object) -> tuple[FeatureSpec, ...]:
    published = isinstance(specs, tuple) and specs and all(isinstance(spec, FeatureSpec) for spec in specs)
    require(bool(published), name, "out_specs must be a tuple of FeatureSpec; set it in __init__")
    strides = [spec.stride for spec in specs]
    require(strides == sorted(strides), name, "out_specs must begin with the finest map")
    return specs


def _check_features(name: str, features: object, specs: Sequence[FeatureSpec], size: tuple[int, int]) -> None:
    listed = isinstance(features, list | tuple) and len(features) == len(specs)
    require(listed, name, f"it must give a list of {len(specs)} maps, as out_specs say")
    for level, spec in zip(features, specs, strict=True):
        right = isinstance(level, Tensor) and level.dim() == 4 and level.shape[1] == spec.channels
        shape = tuple(level.shape) if isinstance(level, Tensor) else type(level).__name__
        require(right, name, f"a map must be (B, {spec.channels}, h, w), as out_specs say, got {shape}")
        if spec.origin == 0:
            expected = tuple(-(-side // spec.stride) for side in size)
            shape = tuple(level.shape[-2:])
            text = f"a map at stride {spec.stride} must be {expected}, got {shape}"
            require(shape == expected, name, text)


def _check_learns(name: str, part: nn.Module, outputs: Sequence[Tensor]) -> None:
    for out in outputs:
        require(bool(torch.isfinite(out).all()), name, "its maps must be finite")
    if not any(parameter.requires_grad for parameter in part.parameters()):
        return
    sum(out.square().mean() for out in outputs).backward()
    for key, parameter in part.named_parameters():
        learns = not parameter.requires_grad or parameter.grad is not None
        require(learns, name, f"{key} must have a gradient; use it for a map, or leave it out")
