"""A COCO dataset that is simulated if it is missing."""

import difflib
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from mmengine.dist import barrier, is_main_process
from mmengine.logging import print_log

from cellmm.datasets.coco import CellCocoDataset
from cellmm.errors import CellMMError
from cellmm.registry import DATASETS
from cellmm.simulation import make_dataset, remove_abandoned


@DATASETS.register_module()
class SimulatedDataset(CellCocoDataset):
    """One split of ``data_root``, in the layout of ``cellmm.simulation.make_dataset``.

    If the folder ``data_root`` is missing, the first rank makes it, once, with a warning, while the others
    wait: every rank of a run has to build the dataset. An existing folder is read and never changed: put your
    own images there in the same layout, every image annotated (else set ``allow_empty``).

    Args:
        data_root: the folder of all splits.
        split: ``'train'``, ``'val'`` or ``'test'``.
        simulation: arguments of ``make_dataset``: splits, scene, seed, workers. With ``folder``, only a
            ``data_root`` that is this folder is ever simulated; any other missing folder is an error.
        nuclei: with nuclei, for LoadNuclei: the default of ``nuclei_dir`` is then ``<split>/nuclei``, and
            images are simulated with ``extra_modalities``.
        modality: the folder of the split that images are read from, ``'images'`` (brightfield), or
            ``'phase'`` or ``'fluorescence'``, which are simulated with ``extra_modalities``.
    """

    def __init__(
        self,
        *,
        data_root: str | os.PathLike,
        split: str,
        simulation: dict | None = None,
        nuclei: bool = False,
        modality: str = "images",
        **kwargs,
    ) -> None:
        if simulation is not None:
            extra = nuclei or modality != "images"
            simulation = dict(simulation, extra_modalities=True) if extra else dict(simulation)
            simulate_once(data_root, simulation, make_dataset, f"{split}/annotations.json")
        if nuclei and kwargs.get("nuclei_dir") is None:
            kwargs["nuclei_dir"] = f"{split}/nuclei"
            if Path(data_root, split).is_dir() and not Path(data_root, split, "nuclei").is_dir():
                raise CellMMError(
                    f"{Path(data_root, split)} has no nuclei: put the nuclei of each image into nuclei/, or, "
                    f"if simulated without extra_modalities=True, remove {data_root} to simulate it again"
                )
        others = modality != "images" and Path(data_root, split).is_dir()
        if others and not Path(data_root, split, modality).is_dir():
            raise CellMMError(
                f"{Path(data_root, split, modality)} is absent: put the images there, or, if simulated "
                f"without extra_modalities=True, remove {data_root} to simulate it again"
            )
        super().__init__(
            data_root=data_root,
            ann_file=f"{split}/annotations.json",
            img_dir=f"{split}/{modality}",
            **kwargs,
        )


def simulate_once(
    data_root: str | os.PathLike, simulation: Mapping, make: Callable[..., None], needed: str
) -> None:
    """Let the first rank make ``data_root`` if it is missing, while the others wait.

    Args:
        simulation: arguments of ``make``, and ``folder``: the only ``data_root`` that is ever made.
        make: called as ``make(data_root, **simulation)``.
        needed: what the folder has to hold then.

    Raises:
        CellMMError: another folder is missing, or it does not hold what is needed.
    """
    simulation = dict(simulation)
    folder = simulation.pop("folder", data_root)
    if os.path.abspath(folder) != os.path.abspath(data_root):
        _check_own_folder(data_root, folder)
    elif is_main_process():
        _simulate_missing(data_root, simulation, make)
    barrier()
    if not os.path.lexists(Path(data_root, needed)):
        raise CellMMError(
            f"{data_root} has no {needed}: put your annotated images there, or remove the folder to have "
            "images simulated"
        )


def _simulate_missing(data_root: str | os.PathLike, simulation: Mapping, make: Callable[..., None]) -> None:
    """Make the folder if it is missing; remove what killed simulations left beside it.

    Where another program makes it at the same time, that of the first to end is kept.
    """
    path = os.path.abspath(data_root)
    remove_abandoned(os.path.dirname(path))
    if os.path.lexists(path):
        return
    number = sum(simulation["splits"].values())
    print_log(
        f"{path} is missing: simulating {number} images there, once, with seed {simulation.get('seed', 0)}; "
        "these are not real cells, put your own images there to train on them",
        logger="current",
        level=logging.WARNING,
    )
    try:
        make(data_root, **simulation)
    except CellMMError:
        if not os.path.lexists(path):
            raise
        print_log(f"{path}: another program made it in the meantime; its images are used", logger="current")


def _check_own_folder(data_root: str | os.PathLike, folder: str | os.PathLike) -> None:
    """Raise CellMMError where ``data_root``, which is not the folder to be simulated, is missing."""
    path = Path(os.path.abspath(data_root))
    if path.exists():
        return
    there = (
        [str(folder) for folder in path.parent.iterdir() if folder.is_dir()] if path.parent.is_dir() else []
    )
    made = os.path.abspath(folder)
    near = difflib.get_close_matches(str(path), [*there, made], 1, 0.0)[0]
    raise CellMMError(
        f"data_root: {path} is missing, and only {made} is simulated; did you mean {near}? "
        "Put your images there, or set simulation.folder to the same name to have them simulated"
    )
