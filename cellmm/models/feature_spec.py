"""What an encoder or a decoder says of each map that it gives."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cellmm.errors import CellMMError
from cellmm.models.layers.pixel_grid import PixelGrid


@dataclass(frozen=True)
class FeatureSpec:
    """A map of ``channels``; its pixel k lies at ``origin + stride * k`` of the input, see PixelGrid.

    Encoders and decoders publish ``out_specs``, a tuple of these, finest first. ``origin`` is 0 with padding;
    without it, the number of input pixels that the convolutions take off before the first pixel.
    After the ShapeSpec of detectron2 (Wu et al., 2019).
    """

    channels: int
    stride: int = 1
    origin: int = 0

    @property
    def grid(self) -> PixelGrid:
        return PixelGrid(self.stride, self.origin)


def specs_on(channels: Iterable[int], grids: Iterable[PixelGrid]) -> tuple[FeatureSpec, ...]:
    """One spec per map, from its channels and its grid."""
    return tuple(FeatureSpec(c, grid.stride, grid.origin) for c, grid in zip(channels, grids, strict=True))


def feature_pyramid(channels: Sequence[int], stride: int = 1) -> tuple[FeatureSpec, ...]:
    """Specs of maps, finest first, the first at ``stride``, each next one at twice the stride before.

    >>> feature_pyramid((8, 16), stride=2)
    (FeatureSpec(channels=8, stride=2, origin=0), FeatureSpec(channels=16, stride=4, origin=0))
    """
    return specs_on(channels, [PixelGrid(stride * 2**i) for i in range(len(channels))])


def channels_of(specs: Iterable[FeatureSpec]) -> tuple[int, ...]:
    """The channels of each map."""
    return tuple(spec.channels for spec in specs)


def check_first_pixel(specs: Sequence[FeatureSpec], owner: str) -> None:
    """Refuse maps of convolutions without padding: masks would lie off by what these take off.

    Raises:
        CellMMError: a map does not start at the first pixel; ``owner`` is the class of the head.
    """
    if any(spec.origin for spec in specs):
        raise CellMMError(
            f"{owner}: its maps start at pixels {', '.join(str(spec.origin) for spec in specs)} of the "
            "input, and they must start at 0; set padding='same' in the encoder and in the decoder"
        )
