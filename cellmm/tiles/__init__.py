"""Images in pieces of work: planned once, run anywhere and in any order, merged as predict writes them."""

from cellmm.tiles.merge import FromPieces
from cellmm.tiles.plan import PiecePlan, PlannedImage, Work, make_plan
from cellmm.tiles.run import run_piece

__all__ = ["FromPieces", "PiecePlan", "PlannedImage", "Work", "make_plan", "run_piece"]
