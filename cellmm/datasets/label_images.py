"""Label images: every pixel holds the number of its cell."""

import os
from collections.abc import Sequence
from fnmatch import fnmatchcase

from cellmm.datasets.base import CellDataset, name_some
from cellmm.datasets.file_index import group_images, suffix_pattern
from cellmm.errors import CellMMError
from cellmm.registry import DATASETS


@DATASETS.register_module()
class LabelImageDataset(CellDataset):
    """Images and label images of the same names, PNG or TIFF, 0 the background.

    A TIFF of several pages holds layers: cells that overlap are on different pages, with ids that count over
    all of them. All cells are of class 0.

    ``img_suffix``, ``label_suffix``: what follows the name in the file names, such as '.tif', '_masks.png';
    None takes any image file. A list of image suffixes, such as ['_low.tif', '_high.tif'], means that many
    files an image, one channel (focal plane) each, in that order.
    ``pattern``: only images whose name matches, with * and ?, such as 'train_*'.
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
            img_patterns = [f"(?!{label_pattern.replace('?P<image>', '')}$){one}" for one in img_patterns]
        images, labels = group_images(img_dir, img_patterns), group_images(label_dir, [label_pattern])
        images = {name: path for name, path in images.items() if fnmatchcase(name, self.pattern)}
        labels = {name: path for name, path in labels.items() if fnmatchcase(name, self.pattern)}
        if not images:
            raise CellMMError(f"{img_dir}: no image has a name like {self.pattern!r}; change pattern")
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
