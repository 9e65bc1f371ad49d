"""Simulated sets of several types of cells on disk: a folder per image, a label image per class."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import tifffile
from tqdm import tqdm

from cellmm.simulation.cell_types import StainedScene, simulate_stained_scene
from cellmm.simulation.dataset import new_set, scene_config
from cellmm.simulation.scene import SceneConfig


def make_class_folders(
    root: str | Path,
    *,
    splits: Mapping[str, int],
    scene: str | Mapping | SceneConfig = "stained",
    seed: int = 0,
    workers: int = 1,
    absent: float = 0.2,
    empty: float = 0.05,
) -> None:
    """Simulate annotated colour images of CELL_TYPES into a new folder ``root``, all of it or nothing.

    ``<split>/0001/image.tif`` (RGB, 8 bit) and ``class1.tif`` to ``class4.tif`` beside it (label images), the
    file of a class only where the image has a cell of it. Image i of a split depends on (seed, split, i) and
    the scene alone.

    Args:
        root: must not exist.
        splits: images by the name of the split.
        scene: as for ``make_dataset``.
        workers: threads that simulate; they change the time only.
        absent, empty: see ``simulate_stained_scene``.

    Raises:
        CellMMError: ``root`` exists or cannot be written; ``scene`` is unknown, or too crowded for its cells.
    """
    config = scene_config(scene)
    with (
        new_set(root) as folder,
        ThreadPoolExecutor(workers) as pool,
        tqdm(total=sum(splits.values()), desc=f"simulating {root}", unit="image") as progress,
    ):
        for split, number in splits.items():
            keys = [[seed, *split.encode(), i] for i in range(number)]

            def simulate(key: Sequence[int]) -> StainedScene:
                return simulate_stained_scene(config, np.random.default_rng(key), absent=absent, empty=empty)

            try:
                for i, found in enumerate(pool.map(simulate, keys), 1):
                    write_class_folder(folder / split / f"{i:04d}", found)
                    progress.update()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise


def write_class_folder(folder: Path, scene: StainedScene) -> None:
    """``image.tif``, and ``class<k>.tif`` for each class k from 1 that has a cell: numbers from 1, 16 bit."""
    folder.mkdir(parents=True)
    tifffile.imwrite(folder / "image.tif", scene.image, photometric="rgb")
    for label in np.unique(scene.labels).tolist():
        cells = scene.cells.select(np.flatnonzero(scene.labels == label))
        tifffile.imwrite(folder / f"class{label + 1}.tif", cells.layers.max(0).astype(np.uint16))
