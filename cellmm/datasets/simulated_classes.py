"""A folder per image with a label image per class, simulated if it is missing."""

import os

from cellmm.datasets.class_folders import ClassFolderDataset
from cellmm.datasets.simulated import simulate_once
from cellmm.registry import DATASETS
from cellmm.simulation import CELL_TYPES, make_class_folders

CLASSES = tuple(kind.name for kind in CELL_TYPES)


@DATASETS.register_module()
class SimulatedClassesDataset(ClassFolderDataset):
    """One split of ``data_root``, in the layout of ``cellmm.simulation.make_class_folders``.

    If the folder ``data_root`` is missing, it is simulated, as SimulatedDataset does. An existing folder is
    read and never changed: put your own images there in the same layout.

    Args:
        data_root: the folder of all splits.
        split: ``'train'``, ``'val'`` or ``'test'``.
        simulation: arguments of ``make_class_folders``, and ``folder``: see SimulatedDataset.
        metainfo: ``classes`` has the names of the classes; without it those of the simulated types.
    """

    def __init__(
        self, *, data_root: str | os.PathLike, split: str, simulation: dict | None = None, **kwargs
    ) -> None:
        if simulation is not None:
            simulate_once(data_root, simulation, make_class_folders, split)
        if not kwargs.get("class_agnostic"):
            kwargs["metainfo"] = dict(classes=CLASSES) | dict(kwargs.get("metainfo") or {})
        super().__init__(data_root=data_root, img_dir=split, **kwargs)
