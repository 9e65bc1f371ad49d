"""Cells through a film: which cells of successive frames are the same, also where they overlap."""

from cellmm.tracking.ellipses import Ellipses
from cellmm.tracking.linking import LinkOptions, track_cells
from cellmm.tracking.tracks import Tracks

__all__ = ["Ellipses", "LinkOptions", "Tracks", "track_cells"]
