"""Another image of the dataset, for transforms that mix images."""

from collections.abc import Callable

import numpy as np

from cellmm.datasets.transforms.moving_cells import fixed_targets
from cellmm.errors import CellMMError


def other_image(results: dict, step: Callable) -> dict:
    """A random image of ``results['dataset']``, as the steps before ``step`` in its pipeline make it.

    Which one it is, and its own ``rng``, are drawn from ``results['rng']``, so that they depend on the seed
    and the draw alone. It may be the same image.

    Raises:
        CellMMError: the dataset does not hand itself to its pipeline, the step is inside another one, or the
            images have another number of channels.
    """
    name, dataset = type(step).__name__, results.get("dataset")
    if dataset is None:
        raise CellMMError(
            f"{name} needs results['dataset'], to take other images from: use it in the training pipeline "
            "of a dataset of cellmm"
        )
    steps = dataset.pipeline.transforms
    place = next((i for i, other in enumerate(steps) if other is step), None)
    if place is None:
        raise CellMMError(
            f"{name} has to be a step of the pipeline itself, not inside another step: it has prob of its own"
        )
    rng = results["rng"]
    other = dataset.get_data_info(int(rng.integers(len(dataset))))
    seed = int(rng.integers(2**63))
    other.update(draw=results["draw"], rng=np.random.default_rng(seed), dataset=dataset)
    for before in steps[:place]:
        other = before(other)
    channels, expected = other["img"].shape[2], results["img"].shape[2]
    if channels != expected:
        raise CellMMError(
            f"{name}: {other['img_path']} has {channels} channels, {results['img_path']} {expected}: choose "
            "with channels=[...] or color= of LoadImage"
        )
    return other


def refuse_to_mix(results: dict, step: Callable) -> None:
    """Raise CellMMError in test pipelines, without cells, and after steps that write targets."""
    name = type(step).__name__
    if "eval_instances" in results:
        raise CellMMError(f"{name} would change the truth: leave it out of test pipelines")
    if "gt_layers" not in results:
        raise CellMMError(f"{name} needs the cells: put LoadCells before it in the pipeline")
    for key, writer in fixed_targets(results).items():
        raise CellMMError(f"{name} comes after {writer}, whose {key} would lack the new cells: put it before")
