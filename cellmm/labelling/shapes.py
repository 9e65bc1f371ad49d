"""The shapes that cells are proposed as."""

import math
from dataclasses import dataclass

from cellmm.errors import CellMMError

MASKS, POLYGONS = "masks", "polygons"
KINDS = (MASKS, POLYGONS)


@dataclass(frozen=True)
class Shapes:
    """How cells are drawn in programs that have both kinds.

    Args:
        kind: 'masks', which are exact and edited with a brush; 'polygons', whose corners are moved.
        tolerance: how far in pixels polygons may be from the edges of the pixels, so that they have few
            corners.

    Raises:
        CellMMError: another kind, or a tolerance below 0.
    """

    kind: str = MASKS
    tolerance: float = 0.75

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise CellMMError(f"--shapes {self.kind}: give {' or '.join(KINDS)}")
        if not 0 <= self.tolerance < math.inf:
            raise CellMMError(f"--tolerance {self.tolerance:g}: give pixels, 0 or more")
