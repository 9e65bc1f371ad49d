"""A COCO set that is simulated where it is missing."""

import os
from pathlib import Path

from mmengine.dist import barrier, is_main_process
from mmengine.logging import print_log

from cellmm.datasets.coco import CellCocoDataset
from cellmm.errors import CellMMError
from cellmm.registry import DATASETS
from cellmm.simulation import make_dataset


@DATASETS.register_module()
class SimulatedDataset(CellCocoDataset):
    """One split of ``data_root``, in the layout of ``cellmm.simulation.make_dataset``.

    Where the folder ``data_root`` is missing, the first rank makes it, once, with a line in the log, while
    the others wait: every rank of a run has to build the set. A folder that is there is read and never
    changed: put your own images there in the same layout, every image annotated (else set ``allow_empty``).

    Args:
        data_root: the folder of all splits.
        split: ``'train'``, ``'val'`` or ``'test'``.
        simulation: arguments of ``make_dataset``: splits, scene, seed, workers.
        nuclei: also the nuclei, for LoadNuclei: ``nuclei_dir``, where it is not given, is ``<split>/nuclei``.
            What is simulated then is simulated with ``more``.
    """

    def __init__(
        self,
        *,
        data_root: str | os.PathLike,
        split: str,
        simulation: dict | None = None,
        nuclei: bool = False,
        **kwargs,
    ) -> None:
        if simulation is not None:
            simulation = dict(simulation, more=True) if nuclei else simulation
            if is_main_process() and not Path(data_root).exists():
                number = sum(simulation["splits"].values())
                print_log(
                    f"{data_root} is missing: simulating {number} images there, once, with seed "
                    f"{simulation.get('seed', 0)} (put your own images there to train on them)",
                    logger="current",
                )
                make_dataset(data_root, **simulation)
            barrier()
            if not os.path.lexists(Path(data_root, split, "annotations.json")):
                raise CellMMError(
                    f"{data_root} has no {split}/annotations.json: put your annotated images there, or "
                    "remove the folder to have images simulated"
                )
        if nuclei and kwargs.get("nuclei_dir") is None:
            kwargs["nuclei_dir"] = f"{split}/nuclei"
            if Path(data_root, split).is_dir() and not Path(data_root, split, "nuclei").is_dir():
                raise CellMMError(
                    f"{Path(data_root, split)} has no nuclei: put the nuclei of each image into nuclei/, or, "
                    f"if the images were simulated without more=True, remove {data_root} to simulate it again"
                )
        super().__init__(
            data_root=data_root, ann_file=f"{split}/annotations.json", img_dir=f"{split}/images", **kwargs
        )
