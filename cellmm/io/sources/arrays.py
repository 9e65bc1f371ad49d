"""Arrays as images: NumPy, dask, zarr, and others that are sliced like them."""

from typing import Any

from cellmm.errors import CellMMError
from cellmm.io.sources.base import MAX_CHANNELS
from cellmm.io.sources.stack import Stack

AXES = {"t": "T", "c": "C", "z": "Z", "y": "Y", "x": "X"}


def stack_of_array(array: Any, name: str) -> Stack:
    """An array (H, W) or (H, W, C), or of axes that a zarr array names (t, c, z, y, x).

    Three or four channels are taken as a colour where one is asked for. Raises CellMMError for other shapes.
    """
    shape = tuple(int(size) for size in array.shape)
    stated = getattr(getattr(array, "metadata", None), "dimension_names", None)
    if stated and all(axis in AXES for axis in stated):
        return Stack(array, "".join(AXES[axis] for axis in stated), name)
    if len(shape) == 2:
        return Stack(array, "YX", name)
    if len(shape) == 3:
        last = "S" if shape[2] in (3, 4) else "C"
        return Stack(array, f"YX{last}" if shape[2] <= MAX_CHANNELS else "QYX", name)
    raise CellMMError(
        f"{name} is an array of shape {shape}: give (H, W) or (H, W, C), one time point and plane at a time"
    )
