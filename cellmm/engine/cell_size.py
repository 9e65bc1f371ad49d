"""Images with cells of another size than those of training."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from cellmm.datasets.transforms import Rescale, RescaleToDiameter, RescaleToPixelSize, Resize, ResizeTo
from cellmm.datasets.transforms.diameter import diameter_of_areas
from cellmm.engine.trained_on import TrainedOn
from cellmm.errors import CellMMError
from cellmm.structures import CellSample

SIZING = (Rescale, RescaleToPixelSize, Resize, ResizeTo)


def median_diameter(samples: Iterable[CellSample]) -> float | None:
    """The diameter of a circle as large as the median cell of ``samples``, in pixels of the input.

    None if they hold no cell.
    """
    areas = [
        np.bincount(sample.gt_layers.numpy().ravel())[1:]
        for sample in samples
        if "gt_layers" in sample and sample.gt_layers.numel()
    ]
    return diameter_of_areas(np.concatenate([np.zeros(0), *areas]))


def rescale_to_diameter(
    steps: Sequence[Callable], seen: TrainedOn | None, diameter: float
) -> tuple[list[Callable], str]:
    """Scale images whose cells are ``diameter`` pixels across so that cells are as large as in training.

    As with the ``diameter`` of Cellpose (Stringer et al., 2021), the factor is the diameter of training over
    that of the image.

    Args:
        steps: of a pipeline, after LoadImage. RescaleToDiameter among them is left to scale the images.

    Returns:
        The changed steps, and a line that says what was replaced.

    Raises:
        CellMMError: ``diameter`` is not above 0, or the checkpoint does not state that of training.
    """
    if not 0 < diameter < float("inf"):
        raise CellMMError(f"diameter is {diameter}: give the pixels that a cell is across, above 0")
    own = next((step for step in steps if isinstance(step, RescaleToDiameter)), None)
    if own is not None:
        return list(steps), (
            f"diameter {diameter:g}: the network takes cells of {own.diameter:g} px across, so images are "
            f"scaled by {own.diameter / diameter:.3g}"
        )
    if seen is None or seen.diameter is None:
        raise CellMMError(
            f"diameter is {diameter:g}, but the checkpoint does not state the diameter of the cells in "
            "training: leave it out, and set the factor of Rescale in the config"
        )
    factor = seen.diameter / diameter
    replaced = [step for step in steps if isinstance(step, SIZING)]
    place = next((i for i, step in enumerate(steps) if isinstance(step, SIZING)), 0)
    kept = [step for step in steps if step not in replaced]
    new = [*kept[:place], Rescale(factor=factor), *kept[place:]]
    names = ", ".join(type(step).__name__ for step in replaced) or "no step"
    return new, (
        f"diameter {diameter:g}: cells of training are {seen.diameter:.3g} px across where they reach the "
        f"network, so images are scaled by {factor:.3g}; this replaces {names} of the config"
    )
