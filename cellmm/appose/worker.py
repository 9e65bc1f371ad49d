"""What a task of Appose calls in the worker process."""

from collections.abc import Callable
from typing import Any

import numpy as np

from cellmm.apis.model_cache import ModelCache
from cellmm.errors import CellMMError
from cellmm.extras import need
from cellmm.results import Instances
from cellmm.results.writers import RoiWriter
from cellmm.structures import outlines_of

_MODELS = ModelCache()


def find_cells(
    task: Any,
    image: Any,
    *,
    model: str = "nuclei",
    checkpoint: str | None = None,
    diameter: float | None = None,
    score_thr: float = 0.3,
    rois: str | None = None,
) -> dict[str, Any]:
    """The cells of an image, as outputs of an Appose task whose script is::

        from cellmm.appose import find_cells
        find_cells(task, image, model="nuclei")

    The model stays in memory for the next task. Of an image that is predicted in tiles, the task tells the
    progress, and stops after a tile when it is cancelled.

    Args:
        task: the task of the worker, a variable in its script.
        image: an NDArray of (H, W) or (C, H, W), in shared memory, or the path of a file.
        model: a name of `cellmm models`, the folder of a training, or with ``checkpoint`` a config.
        diameter: of the cells in pixels; None: the model finds it, or needs none.
        score_thr: cells that score less are left out.
        rois: write a zip of ROIs for Fiji to this path.

    Returns:
        ``labels``: NDArray of int32 (L, H, W): label images with ids from 1 over all, L > 1 where cells
        overlap. The program that asked removes the shared memory when it is done with it.
        ``scores``, ``classes``: one per cell.
        ``outlines``: per cell its parts, each a list of rings (the first is the outer one, others are holes)
        of [x, y] along the edges of the pixels.

    Raises:
        CellMMError: what `cellmm predict` refuses, too; an array of another shape; cancelled.
    """
    inferencer = _MODELS.load(model, checkpoint, diameter)
    found = inferencer.predict(_image(image), _progress(task))
    found = found.select(found.scores >= np.float32(score_thr))
    if rois is not None:
        RoiWriter().write(rois, found, None)
    return dict(
        labels=_shared(found),
        scores=found.scores.astype(float).tolist(),
        classes=found.class_names(),
        outlines=[
            [[ring.tolist() for ring in part] for part in outlines_of(found.masks, i)]
            for i in range(len(found))
        ],
    )


def _image(image: Any) -> Any:
    if not hasattr(image, "ndarray"):
        return image
    array = np.array(image.ndarray())  # a copy: the other program may free the memory
    if array.ndim == 2:
        return array
    if array.ndim != 3:
        raise CellMMError(f"an array of shape {array.shape}: (H, W) or (C, H, W) is needed")
    return np.moveaxis(array, 0, -1)


def _progress(task: Any) -> Callable[[int, int], None]:
    def tell(done: int, total: int) -> None:
        if task.cancel_requested:
            task.cancel()
            raise CellMMError(f"cancelled after {done} of {total} tiles")
        task.update("looking for cells", done, total)

    return tell


def _shared(found: Instances) -> Any:
    layers = found.to_layers().layers
    appose = need("appose", "appose", "shared arrays")
    shared = appose.NDArray("int32", list(layers.shape))
    shared.ndarray()[:] = layers
    return shared
