"""Any folder of annotated images as a dataset."""

import logging
import os
from collections.abc import Sequence

from mmengine.logging import print_log

from cellmm.datasets.base import CellDataset
from cellmm.datasets.folders.contents import AnnotatedImage, FolderContents
from cellmm.datasets.folders.look import look_at
from cellmm.datasets.folders.splits import choose
from cellmm.errors import CellMMError
from cellmm.messages import name_some
from cellmm.registry import DATASETS


@DATASETS.register_module()
class AnnotatedFolderDataset(CellDataset):
    """The annotated images that ``look_at`` finds in ``data_root``, in the layouts of
    docs/how_to/annotation_folders.md.

    ``images``: names of images, as ``look_at`` gives them; None: all.
    ``split_file``: a text file with such a name per line, in place of ``images``; a relative path is looked
    for in ``data_root``, then in the current folder.
    ``layout``: see ``look_at``.
    ``class_agnostic``: every class is label 0.
    ``metainfo.classes``: names of classes, label 0 first; without it those of the whole folder, so that all
    splits of a folder have the same. A single class takes the only class of a folder, whatever its name.
    ``img_id`` is the place of the image in the whole folder, from 1.
    """

    def __init__(
        self,
        *,
        data_root: str | os.PathLike,
        images: Sequence[str] | None = None,
        split_file: str | os.PathLike | None = None,
        layout: str | None = None,
        class_agnostic: bool = False,
        **kwargs,
    ) -> None:
        if images is not None and split_file is not None:
            raise CellMMError("AnnotatedFolderDataset has images and split_file: leave one of them out")
        self.images, self.split_file, self.layout = images, split_file, layout
        self.class_agnostic = class_agnostic
        self.classes_are_set = "classes" in (kwargs.get("metainfo") or {})
        super().__init__(data_root=data_root, **kwargs)

    def load_data_list(self) -> list[dict]:
        contents = look_at(self.data_root, self.layout)
        labels = self._labels(contents)
        numbers = {image.name: number for number, image in enumerate(contents.images, start=1)}
        chosen = self._chosen(contents)
        if not self.allow_empty and (
            empty := [image.name for image in chosen if image.instances is not None and not image.instances]
        ):
            raise CellMMError(
                f"{self.data_root}: images without a cell, {name_some(empty)} of {len(chosen)}; set "
                "allow_empty=True if they hold no cell"
            )
        all_images = self.images is None and self.split_file is None
        for note in [*(contents.unpaired() if all_images else ()), *contents.notes]:
            print_log(f"{self.data_root}: {note}", logger="current", level=logging.WARNING)
        return [self._info(image, numbers[image.name], labels) for image in chosen]

    def _info(self, image: AnnotatedImage, number: int, labels: dict[str | None, int]) -> dict:
        info = image.info() | {"img_id": number}
        if "instances" in info:
            info["instances"] = [cell | {"label": labels[cell["label"]]} for cell in info["instances"]]
        return info

    def check_labels(self) -> bool:
        contents = look_at(self.data_root, self.layout)
        if contents.fault:
            raise CellMMError(f"{self.data_root}: {contents.fault}")
        return contents.all_labels_seen

    def _labels(self, contents: FolderContents) -> dict[str | None, int]:
        """{name of a class: label}; sets ``metainfo['classes']``, unless the user did."""
        names = list(contents.classes)
        if self.class_agnostic:
            return dict.fromkeys([*names, None], 0)
        if not self.classes_are_set:
            self._metainfo["classes"] = tuple(names)
        classes = list(self._metainfo["classes"])
        if len(classes) == len(names) == 1:
            return {names[0]: 0, None: 0}
        if unknown := [name for name in names if name not in classes]:
            raise CellMMError(
                f"{self.data_root}: metainfo.classes {classes} leave out {unknown}: add these classes, or "
                "set class_agnostic=True"
            )
        labels = {name: label for label, name in enumerate(classes)}
        return labels | {None: labels.get("cell", 0)}

    def _chosen(self, contents: FolderContents) -> list[AnnotatedImage]:
        by_name = {image.name: image for image in contents.images}
        roots = dict(root=self.data_root, data_root=self.data_root)
        return list(choose(by_name, self.images, self.split_file, **roots).values())
