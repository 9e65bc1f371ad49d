"""How one image is cut into tiles, worked out once and kept in a json."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from functools import cached_property

from cellmm.datasets.transforms.norm_statistics import NormStatistics
from cellmm.models.postprocess.look_again import WindowRule
from cellmm.models.postprocess.tiles import TileGrid, even_tile

MAX_DENOMINATOR = 64  # scales that are fractions of such numbers allow tiles of whole pixels before and after


@dataclass(frozen=True)
class TilePlan:
    """The tiles of an image, in the pixels of its file.

    Args:
        shape: (H, W) of the image.
        tile, overlap: side of a tile and what neighbours share, multiples of ``step``.
        step: tiles and windows start at multiples of it.
        margin: pixels at the inner borders of a tile in which the model draws no mask.
        statistics: ``NormStatistics.to_dict`` of the whole image; None: no step needs them.
        cell_diameter: of the cells, pixels of the file, for RescaleToDiameter; None: no step needs it.
        levels: what the model measured in the whole image; None: it needs nothing but a tile.
    """

    shape: tuple[int, int]
    tile: int
    overlap: int
    step: int
    margin: int
    statistics: dict | None = None
    cell_diameter: float | None = None
    levels: dict | None = None

    @classmethod
    def of(
        cls, shape: Sequence[int], scale: float, tile: int, overlap: int, *, step: int, margin: int
    ) -> "TilePlan":
        """Tiles in the pixels of the network, which sees ``scale`` pixels per pixel of the file.

        They are rounded up to whole multiples of ``step`` of the network, and so that a tile starts at a
        whole pixel of both, as far as ``scale`` is near to a simple fraction.
        """
        in_file = step_in_file(scale, step, most=max(tile // 4, step))
        sides = (math.ceil(side / scale / in_file - 1e-9) * in_file for side in (tile, overlap))
        tile, overlap = sides
        if overlap > tile / 2:
            tile = 2 * overlap
        shape = (int(shape[0]), int(shape[1]))
        return cls(shape, max(tile, in_file), overlap, in_file, math.ceil(margin / scale))

    def even(self) -> "TilePlan":
        """With as many tiles, all as small as that allows."""
        return replace(self, tile=even_tile(self.shape, self.tile, self.overlap, self.step))

    @cached_property
    def grid(self) -> TileGrid:
        return TileGrid.cut(self.shape, self.tile, self.overlap, self.step)

    @cached_property
    def norm_statistics(self) -> NormStatistics | None:
        """``statistics`` as Normalize takes them."""
        return None if self.statistics is None else NormStatistics.from_dict(self.statistics)

    @property
    def rule(self) -> WindowRule:
        """How windows are laid around cells that the tiles cut."""
        return WindowRule.of(self.grid, self.step, self.margin)

    def to_dict(self) -> dict:
        """As plain numbers and lists, for a json."""
        return {**asdict(self), "shape": list(self.shape)}

    @classmethod
    def from_dict(cls, content: dict) -> "TilePlan":
        """The inverse of ``to_dict``."""
        return cls(**{**content, "shape": tuple(content["shape"])})


def step_in_file(scale: float, step: int, most: int) -> int:
    """Pixels of the file that are a whole multiple of ``step`` pixels of a network that sees ``scale`` pixels
    for each.

    Scales that are no such fraction, or would need more than ``most`` pixels of the network, give the number
    that is next to ``step``: tiles then start at parts of a pixel of the network, and masks are where they
    belong all the same, since every tile keeps its own way back to the file.

    >>> step_in_file(1.0, 32, most=64), step_in_file(0.5, 32, most=64), step_in_file(1.5, 4, most=64)
    (32, 64, 8)
    >>> step_in_file(0.7342, 32, most=64)
    44
    """
    ratio = Fraction(scale).limit_denominator(MAX_DENOMINATOR)
    if ratio > 0 and math.isclose(ratio, scale, rel_tol=1e-9):
        number = step * ratio.denominator // math.gcd(ratio.numerator, step * ratio.denominator)
        if number * scale <= most + 1e-9:
            return number
    return max(math.ceil(step / scale - 1e-9), 1)
