"""LIVECell: phase contrast images of eight cell lines, overlapping cells."""

import os
from pathlib import Path

from cellmm.datasets.coco import CellCocoDataset
from cellmm.errors import CellMMError
from cellmm.io.file_index import list_files
from cellmm.messages import name_some
from cellmm.registry import DATASETS


@DATASETS.register_module()
class LIVECellDataset(CellCocoDataset):
    """``livecell_coco_<split>.json`` and the images anywhere below ``images/``, found by their names.

    ``split``: 'train', 'val' or 'test'; ``ann_file`` instead names another json, such as one of the published
    fractions of the training set. Source: LIVECell, Edlund et al., Nature Methods 2021.
    """

    def __init__(
        self,
        *,
        data_root: str | os.PathLike,
        split: str = "train",
        ann_file: str | os.PathLike | None = None,
        img_dir: str | os.PathLike = "images",
        **kwargs,
    ) -> None:
        ann_file = f"livecell_coco_{split}.json" if ann_file is None else ann_file
        super().__init__(data_root=data_root, ann_file=ann_file, img_dir=img_dir, **kwargs)

    def find_images(self, names: list[str]) -> dict[str, Path]:
        folder = self.resolve(self.img_dir)
        paths: dict[str, list[Path]] = {}
        for file in list_files(folder):
            paths.setdefault(Path(file).name, []).append(folder / file)
        if double := [name for name in names if len(paths.get(name, [])) > 1]:
            raise CellMMError(f"{folder}: several files of one name, {name_some(double)}; keep one of each")
        return {name: paths.get(name, [folder / name])[0] for name in names}
