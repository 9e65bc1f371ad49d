"""What a model asks of its encoder and its decoder. No base class is needed."""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from torch import Tensor, nn

from cellmm.errors import CellMMError
from cellmm.models.feature_spec import FeatureSpec


@runtime_checkable
class Encoder(Protocol):
    """Images -> maps, finest first; ``cellmm.testing.check_encoder`` tests the rules.

    ``out_specs``: the channels, the stride and the first pixel of each map, finest first. Optional:

    - ``divisor``: the sides of the input must be multiples of it; default: the coarsest stride;
    - ``min_size``: the smallest input, pixels or (h, w); default: 1.

    ``CellSegmentor`` passes ``in_channels``, int, where the constructor names it.
    """

    out_specs: tuple[FeatureSpec, ...]

    def __call__(self, inputs: Tensor) -> list[Tensor]:
        """(B, C, H, W) -> maps (B, c, h, w) of ``out_specs``; h = H / stride where they start at pixel 0."""


@runtime_checkable
class Decoder(Protocol):
    """The encoder's maps -> maps, finest first; ``cellmm.testing.check_decoder`` tests the rules.

    ``out_specs``: of what it gives, finest first; with several decoders side by side {name: tuple}.
    ``CellSegmentor`` passes ``in_specs`` or ``in_channels``, tuples of the encoder's maps, where the
    constructor names them.
    """

    out_specs: tuple[FeatureSpec, ...] | Mapping[str, tuple[FeatureSpec, ...]]

    def __call__(self, features: list[Tensor]) -> list[Tensor] | dict[str, list[Tensor]]:
        """Maps of ``out_specs``."""


def divisor(encoder: Encoder) -> int:
    """What the sides of an encoder's inputs are multiples of."""
    return getattr(encoder, "divisor", max(spec.stride for spec in encoder.out_specs))


def min_size(encoder: Encoder) -> tuple[int, int]:
    """The smallest input (h, w) that an encoder takes."""
    least = getattr(encoder, "min_size", 1)
    return (least, least) if isinstance(least, int) else tuple(least)


def out_specs(part: nn.Module, where: str) -> tuple[FeatureSpec, ...] | Mapping[str, tuple[FeatureSpec, ...]]:
    """What an encoder or a decoder publishes.

    Raises:
        CellMMError: it publishes nothing, or something else; ``where`` is its key in the config.
    """
    specs = getattr(part, "out_specs", None)
    groups = list(specs.values()) if isinstance(specs, Mapping) else [specs]
    for group in groups:
        if not group or not all(isinstance(spec, FeatureSpec) for spec in group):
            raise CellMMError(
                f"{where}.type: {type(part).__name__} does not say what it gives; set self.out_specs in its "
                "__init__ to a tuple with a FeatureSpec for each of its maps, finest first"
            )
    return specs
