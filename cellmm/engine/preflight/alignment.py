"""Whether labels lie on what their images show: outlines follow the edges of the image, and cells are not
the holes of what is labelled."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import fft, ndimage

from cellmm.engine.class_order import leaves
from cellmm.engine.preflight.cell_counts import name_of
from cellmm.engine.preflight.evaluation import load
from cellmm.engine.ranks import warn_on_first_rank

NUM_IMAGES, LEAST_IMAGES = 8, 4
SIDE = 512  # pixels of the middle of an image that is looked at
REACH = 48  # pixels, the largest shift that is looked for
COARSE = 12.0  # pixels: what varies more slowly, such as the wall of a well, says nothing
MOST = 0.5  # of an image that one cell with holes covers where background is labelled
HOLES = 2  # in it, or more
NEAR = 2  # pixels that an outline may lie beside its edge
# standard deviations above chance: of most images at a shift that is believed, of all together where they are
SHIFTED, CHANCE = 3.0, 3.0


def check_alignment(dataset: Any) -> None:
    """Warn where, in a few images spread over the set, labels seem shifted or of other images.

    The outlines of the cells, moved to all places, are correlated with the gradients of their image. At their
    own place they fit far better than by chance, in fluorescence, phase contrast and brightfield, if the
    labels are right. Also warns where none of these images has a cell.
    """
    places = [(leaf, i) for leaf in leaves(dataset) if hasattr(leaf, "pipeline") for i in range(len(leaf))]
    chosen = np.unique(np.linspace(0, len(places) - 1, NUM_IMAGES).round().astype(int)) if places else []
    fits, names, without, inverted = [], [], 0, []
    for leaf, i in (places[n] for n in chosen):
        results = load(leaf, i)
        if not results or "img" not in results or "gt_layers" not in results:
            return
        layers = results["gt_layers"].layers
        without += not layers.any()
        if is_inverted(layers):
            inverted.append(name_of(results))
        if (fit := outline_fit(results["img"], layers)) is not None:
            fits.append(fit)
            names.append(name_of(results))
    key = "train_dataloader.dataset"
    if len(chosen) and without == len(chosen):
        warn_on_first_rank(
            f"{key}: none of {without} training images that were looked at has a cell; annotate them"
        )
    if len(inverted) > len(chosen) / 2:
        warn_on_first_rank(
            f"{key}: in {len(inverted)} of {len(chosen)} training images that were looked at, such as "
            f"{inverted[0]}, one label covers more than half of the image and has holes: the background "
            "seems to be labelled, and the cells to be the holes; was a threshold taken on images of the "
            "other contrast? Invert the masks and number the cells"
        )
    if len(fits) >= LEAST_IMAGES and (text := misfit(fits)):
        warn_on_first_rank(f"{key}: in {len(fits)} training images, such as {names[0]}, {text}")


def is_inverted(layers: np.ndarray) -> bool:
    """Whether one label of ``layers`` (L, H, W) covers most of the image and encloses several holes."""
    for layer in layers:
        areas = np.bincount(layer.ravel())[1:]
        if not areas.size or areas.max() <= MOST * layer.size:
            continue
        largest = layer == areas.argmax() + 1
        holes = ndimage.binary_fill_holes(largest) & ~largest
        if ndimage.label(holes)[1] >= HOLES:
            return True
    return False


def outline_fit(image: np.ndarray, layers: np.ndarray) -> np.ndarray | None:
    """How well the outlines of ``layers`` (L, H, W) fit ``image`` (H, W, C) when moved by (dy, dx).

    (2r + 1, 2r + 1) for moves of -r to r, in standard deviations above the mean of all moves; r is ``REACH``
    or what the image allows. None where there are no outlines or no edges.
    """
    middle = tuple(slice(max(0, (n - SIDE) // 2), max(0, (n - SIDE) // 2) + SIDE) for n in image.shape[:2])
    edges = _fine(_edges(image[middle].astype(np.float32)))
    outlines = _fine(_outlines(layers[:, middle[0], middle[1]]).astype(np.float32))
    reach = min(REACH, *(n // 3 for n in edges.shape))
    if not outlines.any() or not edges.any() or reach < NEAR:
        return None
    fit = fft.irfft2(fft.rfft2(edges) * np.conj(fft.rfft2(outlines)), edges.shape)
    if not fit.std() > 0:
        return None
    fit = (fit - fit.mean()) / fit.std()
    return np.roll(fit, (reach, reach), (0, 1))[: 2 * reach + 1, : 2 * reach + 1]


def misfit(fits: Sequence[np.ndarray]) -> str | None:
    """What is wrong with labels of these fits, with the cure; None where they are right."""
    reach = min(len(fit) // 2 for fit in fits)
    fits = [_middle(fit, reach) for fit in fits]
    own = _middle(np.mean(fits, axis=0), NEAR).max()
    most = np.median(fits, axis=0)  # a shift is that of most images
    dy, dx = (int(n) - reach for n in np.unravel_index(most.argmax(), most.shape))
    if max(abs(dy), abs(dx)) > NEAR and most.max() > max(SHIFTED, 1.5 * own):
        return (
            f"labels fit far better when moved by {dy} pixels down and {dx} to the right: they seem shifted "
            "against their images; look at contact_sheet.png in the work dir and export them again"
        )
    if own * len(fits) ** 0.5 < CHANCE:
        return (
            "outlines of cells lie on edges no more often than by chance: labels may be of other images, or "
            "shifted; look at contact_sheet.png in the work dir"
        )
    return None


def _edges(image: np.ndarray) -> np.ndarray:
    """The logarithm of the gradient, all channels together."""
    total = np.zeros(image.shape[:2], np.float32)
    for channel in np.moveaxis(image, -1, 0):
        channel = channel / max(float(channel.std()), 1e-6)
        total += ndimage.gaussian_gradient_magnitude(channel, 1.0)
    return np.log(total + 0.1 * max(float(np.median(total)), 1e-6))


def _outlines(layers: np.ndarray) -> np.ndarray:
    """Pixels (H, W) that have a neighbour of another cell, or of none, on their layer."""
    found = np.zeros(layers.shape[1:], bool)
    for axis in (1, 2):
        differ = np.diff(layers, axis=axis) != 0
        before, after = [(0, 0)] * 3, [(0, 0)] * 3
        before[axis], after[axis] = (1, 0), (0, 1)
        found |= (np.pad(differ, before) | np.pad(differ, after)).any(0)
    return found


def _fine(values: np.ndarray) -> np.ndarray:
    return values - ndimage.gaussian_filter(values, COARSE)


def _middle(values: np.ndarray, reach: int) -> np.ndarray:
    half = len(values) // 2
    return values[half - reach : half + reach + 1, half - reach : half + reach + 1]
