"""One mask per file: every cell of an image has its own binary image, so that overlap is kept."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from mmengine.logging import print_log

from cellmm.datasets.base import CellDataset
from cellmm.errors import CellMMError
from cellmm.io.file_index import IMAGE_SUFFIXES, group_files, group_images, without_unpaired
from cellmm.messages import name_some
from cellmm.registry import DATASETS


@DATASETS.register_module()
class MaskFolderDataset(CellDataset):
    """Images, with one binary mask (0 and one other value) per cell.

    ``img_pattern`` and ``mask_pattern`` are regular expressions of the whole path relative to ``img_dir`` and
    ``mask_dir``, with ``/`` between folders; their group ``image`` says which image a file belongs to. A list
    of image patterns means that many files per image, one channel (focal plane) each, in that order.
    The defaults read ``images/a.tif`` with ``masks/a/*.png`` and ``images/day2/b.tif`` with
    ``masks/day2/b/*.png``; for ``masks/a_01.png`` set ``mask_pattern=r'(?P<image>.+)_[0-9]+[.]png'``. Images
    in subfolders that have no mask are left out, and a warning counts them; with ``allow_empty`` they stay.

    ``img_id`` counts from 1 in the order of the image names.
    """

    def __init__(
        self,
        *,
        img_dir: str | os.PathLike = "images",
        mask_dir: str | os.PathLike = "masks",
        img_pattern: str | Sequence[str] = r"(?P<image>.+)\.(?i:png|tiff?|jpe?g|bmp)",
        mask_pattern: str = r"(?P<image>.+)/[^/]+\.(?i:png|tiff?|bmp)",
        **kwargs,
    ) -> None:
        self.img_dir = img_dir
        self.mask_dir = mask_dir
        self.img_patterns = [img_pattern] if isinstance(img_pattern, str) else list(img_pattern)
        self.mask_pattern = mask_pattern
        super().__init__(**kwargs)

    def select(self, images: dict, masks: dict) -> tuple[dict, dict]:
        """Override it for subsets: the images and groups of masks that belong to this dataset."""
        return images, masks

    def load_data_list(self) -> list[dict]:
        img_dir, mask_dir = self.resolve(self.img_dir), self.resolve(self.mask_dir)
        leave_out = [img_dir, mask_dir, *([] if self.nuclei_dir is None else [self.resolve(self.nuclei_dir)])]
        images = group_images(img_dir, self.img_patterns, leave_out)
        masks, others = group_files(
            mask_dir, self.mask_pattern, leave_out=leave_out, optional=self.allow_empty
        )
        if mask_dir == img_dir:
            used = {
                path for files in images.values() for path in ([files] if isinstance(files, str) else files)
            }
            others = [
                name
                for name in others
                if Path(name).suffix.lower() in IMAGE_SUFFIXES and str(mask_dir / name) not in used
            ]
        if others and not masks:
            raise CellMMError(
                f"{mask_dir}: none of its files ({name_some(others)}) matches the pattern "
                f"{self.mask_pattern!r}; set mask_pattern to fit, or move these files away"
            )
        if others:
            print_log(
                f"{mask_dir}: files that are not masks of {self.mask_pattern!r}, {name_some(others)}",
                logger="current",
                level=logging.WARNING,
            )
        images, masks = self.select(images, masks)
        if not self.allow_empty:
            names = without_unpaired(list(images), list(masks), img_dir, "images")
            images = {name: images[name] for name in names}
        if orphans := sorted(masks.keys() - images.keys()):
            count = sum(len(masks[name]) for name in orphans)
            raise CellMMError(
                f"{mask_dir}: {count} masks without an image in {img_dir}, {name_some(orphans)}; "
                "add these images, or remove their masks"
            )
        if empty := [name for name in images if name not in masks]:
            if not self.allow_empty:
                raise CellMMError(
                    f"{mask_dir}: no mask for {name_some(empty)} of {len(images)} images; "
                    "set allow_empty=True if they hold no cell"
                )
        return [
            {"img_path": path, "img_id": number, "mask_paths": masks.get(name, [])}
            for number, (name, path) in enumerate(images.items(), start=1)
        ]
