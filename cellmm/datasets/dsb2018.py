"""The Data Science Bowl 2018 in its original layout."""

import os

from cellmm.datasets.mask_folders import MaskFolderDataset
from cellmm.registry import DATASETS


@DATASETS.register_module()
class DSB2018Dataset(MaskFolderDataset):
    """Nuclei: ``<id>/images/<id>.png`` and ``<id>/masks/*.png``, one nucleus per file.

    The images are RGBA, fluorescence and stained tissue mixed: load them with ``color='grayscale'`` or 'rgb'.
    Source: DSB2018, image set BBBC038v1, Caicedo et al., Nature Methods 2019.
    """

    METAINFO: dict = {"classes": ("nucleus",)}

    def __init__(self, *, data_root: str | os.PathLike, **kwargs) -> None:
        super().__init__(
            data_root=data_root,
            img_dir="",
            mask_dir="",
            img_pattern=r"(?P<image>[^/]+)/images/[^/]+\.png",
            mask_pattern=r"(?P<image>[^/]+)/masks/[^/]+\.png",
            **kwargs,
        )
