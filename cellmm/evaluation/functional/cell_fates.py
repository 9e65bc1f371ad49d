"""What became of each annotated cell: found, merged, split, badly outlined or missed."""

import numpy as np

from .error_analysis import Errors

FATES = ("found", "merged", "split", "boundary", "missed")


def cell_fates(errors: Errors) -> dict[str, int]:
    """How many cells had each of FATES; crowd regions have none, all other cells have exactly one.

    A cell that is not found has the kind of the error that explains it, merged before split before boundary
    (``find_errors``); a cell that none explains is missed.

    Examples:
        >>> from cellmm.evaluation.functional import ClassInImage, find_errors
        >>> from cellmm.structures import rle
        >>> cells = rle.encode(np.array([[[1, 1, 1, 0, 0, 0]], [[0, 0, 0, 1, 1, 0]], [[0, 0, 0, 0, 0, 1]]]))
        >>> both = rle.encode(np.array([[[1, 1, 1, 1, 1, 0]]]))
        >>> image = ClassInImage(both, np.ones(1), cells, np.zeros(3, bool), rle.area(cells))
        >>> cell_fates(find_errors(image, threshold=0.7))
        {'found': 0, 'merged': 2, 'split': 0, 'boundary': 0, 'missed': 1}
    """
    left = {"found": set(np.flatnonzero(errors.found).tolist())}
    given = set(left["found"])
    for fate in FATES[1:-1]:
        left[fate] = {j for i in errors.of_kind(fate) for j in errors.explains[i]} - given
        given |= left[fate]
    return {fate: len(cells) for fate, cells in left.items()} | {"missed": len(errors.missed)}
