"""Part clumps of objects that touch: one maximum per object, and lines between them."""

import cv2
import numpy as np
from scipy import ndimage
from skimage.graph import MCP_Geometric
from skimage.segmentation import watershed

from cellmm.models.classical.thresholds import check_choice, smooth
from cellmm.registry import TASK_UTILS

EIGHT = np.ones((3, 3), dtype=bool)
FWHM = 2.35  # width of a Gaussian at half of its height, in standard deviations
LOW_RESOLUTION = 10.0  # pixels of the least diameter, where the maxima are looked for in fewer pixels
LOW_DISTANCE = 7.0  # least distance between maxima in these
DIGITS = 6  # of heights from 0 to 1 that count: what is left are plateaus, not the noise of rounding


@TASK_UTILS.register_module()
class Declumping:
    """How CellProfiler's IdentifyPrimaryObjects parts clumped objects, with its defaults.

    Each object has one maximum, of the smoothed image (``'intensity'``: objects are brightest in their
    middle) or of the distance to the background (``'shape'``: they are round). Of two maxima of a clump that
    are nearer than ``min_distance``, only the higher one counts, and of equal ones the first in reading
    order. Dividing lines then run where the image is darkest (``'intensity'``), where the clump is narrowest
    (``'shape'``), or as far from one maximum as from the other, within the clump (``'propagate'``). A
    component of the foreground is never lost: without a maximum it is one object. Source: CellProfiler.

    Args:
        distinguish: ``'intensity'``, ``'shape'``, or ``'none'``: each component is one object.
        dividing_lines: ``'intensity'``, ``'shape'``, ``'propagate'``, or ``'none'``, as above.
        smoothing: width at half height of the Gaussian that smooths the image for ``'intensity'``, pixels,
            0 for none. None: 2.35 / 3.5 of the least diameter.
        min_distance: pixels. None: two thirds of the least diameter.
        low_resolution: look for maxima in fewer pixels where the least diameter is above 10: it becomes 10.

    Raises:
        ValueError: an argument of another range.
    """

    def __init__(
        self,
        distinguish: str = "intensity",
        dividing_lines: str = "intensity",
        smoothing: float | None = None,
        min_distance: float | None = None,
        low_resolution: bool = True,
    ) -> None:
        check_choice("distinguish", distinguish, ("intensity", "shape", "none"))
        check_choice("dividing_lines", dividing_lines, ("intensity", "shape", "propagate", "none"))
        for name, value in dict(smoothing=smoothing, min_distance=min_distance).items():
            if value is not None and not 0 <= value < np.inf:
                raise ValueError(f"{name} must be pixels from 0, or None, got {value}")
        self.distinguish, self.dividing_lines = distinguish, dividing_lines
        self.smoothing, self.min_distance = smoothing, min_distance
        self.low_resolution = low_resolution

    def __call__(self, image: np.ndarray, foreground: np.ndarray, min_diameter: float) -> np.ndarray:
        """The number of the object that each pixel belongs to, from 1, or 0: int32 (h, w).

        Args:
            image: float32 (h, w), bright objects.
            foreground: bool (h, w). Pixels that touch at a corner are connected.
            min_diameter: the least of an object, pixels.
        """
        components, num = ndimage.label(foreground, EIGHT, output=np.int32)
        if num == 0 or "none" in (self.distinguish, self.dividing_lines):
            return components
        distance = None
        if "shape" in (self.distinguish, self.dividing_lines):
            distance = _distance(foreground)
        if self.distinguish == "intensity":
            width = FWHM * min_diameter / 3.5 if self.smoothing is None else self.smoothing
            heights = smooth(image.astype(np.float64), width / FWHM, max(int(width / 2), 1))
        else:  # a hole is no border of the object
            filled = ndimage.binary_fill_holes(foreground)
            heights = distance if (filled == foreground).all() else _distance(filled)
        seeds = self.maxima(heights, components, min_diameter)
        if self.dividing_lines == "propagate":
            landscape = _steps_to(seeds, foreground)
        else:
            landscape = -image if self.dividing_lines == "intensity" else -distance
        return watershed(landscape, seeds, mask=foreground, connectivity=2).astype(np.int32)

    def maxima(self, heights: np.ndarray, components: np.ndarray, min_diameter: float) -> np.ndarray:
        """One pixel per object with its number, from 1; 0 elsewhere: int32 (h, w)."""
        apart = min_diameter / 1.5 if self.min_distance is None else self.min_distance
        scale = LOW_RESOLUTION / min_diameter if self.low_resolution else 1.0
        looked, parts = heights, components
        if scale < 1:
            apart = LOW_DISTANCE if self.min_distance is None else self.min_distance * scale + 0.5
            size = [max(round(side * scale), 1) for side in heights.shape[::-1]]
            looked = cv2.resize(heights, size, interpolation=cv2.INTER_LINEAR)
            parts = cv2.resize(components, size, interpolation=cv2.INTER_NEAREST)
        places = _highest(looked, parts, max(apart - 0.5, 1.0))
        shape = np.array(components.shape)
        rows, cols = np.minimum(((places + 0.5) * shape / looked.shape).astype(int), shape - 1).T
        of_component = parts[tuple(places.T)]
        inside = components[rows, cols] == of_component  # not always, where pixels are fewer
        seeds = np.zeros_like(components)
        seeds[rows[inside], cols[inside]] = np.arange(1, np.count_nonzero(inside) + 1)
        return _with_components(seeds, components, heights)


def _highest(heights: np.ndarray, components: np.ndarray, radius: float) -> np.ndarray:
    """(row, col) of the pixels that no pixel of their component within ``radius`` exceeds: int (N, 2)."""
    reach = int(radius)
    steps = np.arange(-reach, reach + 1)
    disk = (steps[:, None] ** 2 + steps**2 <= radius**2).astype(np.uint8)
    heights = heights.astype(np.float64) - heights.min()
    heights = np.round(heights / (heights.max() or 1.0), DIGITS)
    heights += np.linspace(0.1**DIGITS / 10, 0, heights.size).reshape(heights.shape)  # the first of equals
    found = [np.zeros((0, 2), np.int64)]
    for number, place in enumerate(ndimage.find_objects(components), start=1):
        if place is None:
            continue
        inside = components[place] == number
        own = np.where(inside, heights[place], -np.inf)
        highest = own == cv2.dilate(own, disk, borderType=cv2.BORDER_CONSTANT, borderValue=-np.inf)
        found.append(np.argwhere(highest & inside) + [side.start for side in place])
    return np.concatenate(found)


def _with_components(seeds: np.ndarray, components: np.ndarray, heights: np.ndarray) -> np.ndarray:
    """``seeds``, and the highest pixel of each component that has none."""
    alone = np.ones(components.max() + 1, dtype=bool)
    alone[0] = False
    alone[components[seeds > 0]] = False
    numbers = np.flatnonzero(alone)
    if len(numbers):
        places = np.array(ndimage.maximum_position(heights, components, numbers))
        seeds[tuple(places.T)] = seeds.max() + 1 + np.arange(len(numbers))
    return seeds


def _distance(inside: np.ndarray) -> np.ndarray:
    """Pixels to the nearest pixel that is not ``inside``, float32; the border of the image is none."""
    if inside.all():
        return np.ones(inside.shape, np.float32)
    return ndimage.distance_transform_edt(inside).astype(np.float32)


def _steps_to(seeds: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Length of the shortest way to a seed that stays ``inside``, pixels; inf outside."""
    costs = np.where(inside, 1.0, -1.0)  # MCP goes around negative costs
    lengths, _ = MCP_Geometric(costs).find_costs(np.argwhere(seeds > 0))
    return lengths
