"""Label images: every pixel holds the id of its cell."""

import os
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from cellmm.datasets.base import CellDataset
from cellmm.errors import CellMMError
from cellmm.io.file_index import group_images, suffix_pattern, without_unpaired
from cellmm.messages import name_some
from cellmm.registry import DATASETS


@DATASETS.register_module()
class LabelImageDataset(CellDataset):
    """Images and label images with the same names, PNG or TIFF, 0 is background; ``images/day2/b.tif`` goes
    with ``labels/day2/b.tif``. If a subfolder has only one of the two, a warning counts what is left out.

    A TIFF of several pages holds layers: cells that overlap are on different pages, with ids that count over
    all of them. All cells are of class 0.

    ``img_suffix``, ``label_suffix``: what follows the name in the file names, such as '.tif', '_masks.png';
    None: any image suffix. A list of image suffixes, such as ['_low.tif', '_high.tif'], means that many
    files per image, one channel (focal plane) each, in that order.
    ``pattern``: only images whose name, with or without its subfolder, matches, with * and ?, as 'train_*'.
    ``img_id`` counts from 1 in the order of the image names.
    """

    def __init__(
        self,
        *,
        img_dir: str | os.PathLike = "images",
        label_dir: str | os.PathLike = "labels",
        img_suffix: str | Sequence[str] | None = None,
        label_suffix: str | None = None,
        pattern: str = "*",
        **kwargs,
    ) -> None:
        self.img_dir = img_dir
        self.label_dir = label_dir
        self.img_suffixes = (
            [img_suffix] if img_suffix is None or isinstance(img_suffix, str) else list(img_suffix)
        )
        self.label_suffix = label_suffix
        self.pattern = pattern
        super().__init__(**kwargs)

    def load_data_list(self) -> list[dict]:
        img_dir, label_dir = self.resolve(self.img_dir), self.resolve(self.label_dir)
        img_patterns = [suffix_pattern(suffix) for suffix in self.img_suffixes]
        label_pattern = suffix_pattern(self.label_suffix)
        if img_dir == label_dir:
            if self.label_suffix is None or None in self.img_suffixes:
                raise CellMMError(
                    f"{img_dir} holds images and labels: tell them apart by img_suffix and label_suffix"
                )
            img_patterns = [
                f"(?!{label_pattern.replace('?P<image>', '')}$){pattern}" for pattern in img_patterns
            ]
        leave_out = [
            img_dir,
            label_dir,
            *([] if self.nuclei_dir is None else [self.resolve(self.nuclei_dir)]),
        ]
        images = self._matching(group_images(img_dir, img_patterns, leave_out))
        labels = self._matching(group_images(label_dir, [label_pattern], leave_out))
        images, labels = (
            {name: paths[name] for name in without_unpaired(list(paths), list(others), folder, what)}
            for paths, others, folder, what in (
                (images, labels, img_dir, "images"),
                (labels, images, label_dir, "label images"),
            )
        )
        if not images:
            raise CellMMError(
                f"{img_dir}: no image has a name like {self.pattern!r} and, in a subfolder, a label image of "
                "the same path; change pattern, or name the folders"
            )
        if missing := sorted(images.keys() - labels.keys()):
            raise CellMMError(
                f"{label_dir}: no label image for {name_some(missing)} of {len(images)} images; label these, "
                "or leave them out by pattern"
            )
        if orphans := sorted(labels.keys() - images.keys()):
            raise CellMMError(
                f"{img_dir}: no image for {name_some(orphans)} of {len(labels)} label images; add these "
                "images, or leave the labels out by pattern"
            )
        return [
            {"img_path": path, "img_id": number, "label_path": labels[name]}
            for number, (name, path) in enumerate(images.items(), start=1)
        ]

    def _matching(self, paths: dict) -> dict:
        """Those that ``pattern`` chooses."""
        return {
            name: path
            for name, path in paths.items()
            if any(fnmatchcase(text, self.pattern) for text in (name, PurePosixPath(name).name))
        }
