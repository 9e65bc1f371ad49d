"""Signs that a label image does not give each cell its own number."""

from dataclasses import dataclass

import cv2
import numpy as np

SCATTERED = 3  # an id with so many far pieces, or more, is not a cell
LINE = 64  # places that are looked at on a line between two pieces
MOST, HARDLY = 0.5, 0.1  # shares of the image's pixels


@dataclass
class LabelFaults:
    """What was counted in a label image.

    ``ids``, ``pieces``: the numbers of ids and of connected pieces. ``scattered``: ids with at least
    ``SCATTERED`` far pieces beside their largest piece; ``doubled``: ids with at least one. ``background``:
    the id that covers most of the image, to all its borders, in an image with hardly any 0; None if no id
    does so. ``no_zero``: no pixel is 0.
    """

    ids: int
    pieces: int
    scattered: int
    doubled: int
    background: int | None
    no_zero: bool


def label_faults(label: np.ndarray) -> LabelFaults:
    """Look at a label image (H, W), or at layers (L, H, W); ids are whole numbers, 0 the background.

    A piece is far where the gap to the largest piece of its id is longer than both, and so is the background
    in the gap: cells that are cut by others in front of them are not in far pieces.

    Examples:
        >>> label_faults(np.array([[0, 1, 1, 0, 2]])).ids
        2
    """
    layers = label[None] if label.ndim == 2 else label
    counted = [_far_pieces(layer) for layer in layers]
    far_pieces = np.concatenate([far for far, _ in counted])
    backgrounds = [label_id for layer in layers if (label_id := _background(layer)) is not None]
    return LabelFaults(
        ids=len(far_pieces),
        pieces=sum(number for _, number in counted),
        scattered=int((far_pieces >= SCATTERED).sum()),
        doubled=int((far_pieces > 0).sum()),
        background=backgrounds[0] if backgrounds else None,
        no_zero=bool((layers > 0).all()),
    )


def _far_pieces(layer: np.ndarray) -> tuple[np.ndarray, int]:
    """How many far pieces each id of a layer has, int64 (N,), and the number of all pieces."""
    mask = layer > 0
    for here, there in (  # of two neighbouring pixels with different ids, one is dropped
        (np.s_[:, :-1], np.s_[:, 1:]),
        (np.s_[:-1], np.s_[1:]),
        (np.s_[:-1, :-1], np.s_[1:, 1:]),
        (np.s_[:-1, 1:], np.s_[1:, :-1]),
    ):
        mask[here] &= (layer[here] == layer[there]) | (layer[there] == 0)
    count, pieces, stats, centroids = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    piece_ids = np.zeros(count, layer.dtype)
    piece_ids[pieces.ravel()] = layer.ravel()
    piece_ids, stats = piece_ids[1:], stats[1:].astype(np.int64)
    order = np.lexsort((-stats[:, cv2.CC_STAT_AREA], piece_ids))  # the largest of an id first
    ids, first, owner = np.unique(piece_ids[order], return_index=True, return_inverse=True)
    start = stats[order][:, :2]
    size = stats[order][:, 2:4]
    main = first[owner]
    gap = np.maximum(start - start[main] - size[main], start[main] - start - size).max(1)
    length = np.maximum(size.max(1), size[main].max(1))
    far = gap > length
    places = centroids[1:][order]
    far[far] = _background_between(layer, places[far], places[main][far]) > length[far]
    return np.bincount(owner, weights=far, minlength=len(ids)).astype(np.int64), count - 1


def _background_between(layer: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Pixels of background on the straight lines between places (x, y), (K, 2) each; float64 (K,)."""
    steps = np.linspace(0, 1, LINE)[:, None, None]
    x, y = np.rint(start + (end - start) * steps).astype(np.int64).transpose(2, 0, 1)
    return (layer[y, x] == 0).mean(0) * np.abs(end - start).max(1)


def _background(layer: np.ndarray) -> int | None:
    if np.count_nonzero(layer) < (1 - HARDLY) * layer.size:
        return None
    edges = (layer[0], layer[-1], layer[:, 0], layer[:, -1])
    common = set.intersection(*(set(np.unique(edge).tolist()) for edge in edges)) - {0}
    return next(
        (label_id for label_id in common if np.count_nonzero(layer == label_id) > MOST * layer.size), None
    )
