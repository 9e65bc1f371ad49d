"""COCO json: polygons, uncompressed and compressed RLE."""

import os
from collections import Counter
from pathlib import Path, PurePath

from mmengine.logging import print_log

from cellmm.datasets.base import CellDataset
from cellmm.errors import CellMMError
from cellmm.io.coco_index import read_coco_index
from cellmm.messages import name_some
from cellmm.registry import DATASETS


@DATASETS.register_module()
class CellCocoDataset(CellDataset):
    """Images and a COCO json; ``img_id`` is the id in the json.

    An image whose planes are in several files has ``file_names``, a list, in place of ``file_name``.

    ``img_dir``: the folder that file names are relative to, itself relative to ``data_root``.
    ``metainfo.classes``: names of categories, label 0 first; without it the categories in the order of their
    ids. A single class takes the only category of a json, whatever its name. ``metainfo['category_ids']``:
    the ids in the json, label 0 first, which results are written with.
    ``class_agnostic``: every category is label 0.
    ``cache_index``: see ``cellmm.io.coco_index.read_coco_index``.
    """

    def __init__(
        self,
        *,
        ann_file: str | os.PathLike,
        img_dir: str | os.PathLike = "",
        class_agnostic: bool = False,
        cache_index: bool | None = None,
        **kwargs,
    ) -> None:
        self.img_dir = img_dir
        self.class_agnostic = class_agnostic
        self.cache_index = cache_index
        self.classes_are_set = "classes" in (kwargs.get("metainfo") or {})
        super().__init__(ann_file=ann_file, **kwargs)

    def find_images(self, names: list[str]) -> dict[str, Path]:
        """{file name in the json: path}; override it for datasets with files in a tree."""
        folder = self.resolve(self.img_dir)
        return {name: folder / name for name in names}

    def load_data_list(self) -> list[dict]:
        index = read_coco_index(Path(self.ann_file), self.cache_index)
        images = index["images"]
        labels = self._labels(index)
        paths = self.find_images([name for image in images for name in image["files"]])
        if absent := [name for name, path in paths.items() if not os.path.isfile(path)]:
            cure = "check data_root and img_dir"
            if any("\\" in name or PurePath(name).is_absolute() for name in absent):
                cure = "file_name has to be relative to img_dir, not a path of another computer"
            raise CellMMError(
                f"{self.ann_file}: image files absent, {name_some(paths[name] for name in absent)} of "
                f"{len(paths)}; {cure}"
            )
        if empty := [image["files"][0] for image in images if not image["instances"]]:
            if not self.allow_empty and len(empty) == len(images):
                raise CellMMError(
                    f"{self.ann_file} holds {len(images)} images and 0 annotations: annotate, or set "
                    "allow_empty=True if none holds a cell"
                )
            if not self.allow_empty:
                raise CellMMError(
                    f"{self.ann_file}: images without annotation, {name_some(empty)} of {len(images)}; "
                    "set allow_empty=True if they hold no cell"
                )
            print_log(f"{self.ann_file}: {len(empty)} of {len(images)} images hold no cell", logger="current")
        data_list = []
        for image in images:
            files = [str(paths[name]) for name in image["files"]]
            instances = [
                {key: instance[key] for key in ("segmentation", "iscrowd", "area")}
                | {"label": labels[instance["category_id"]]}
                for instance in image["instances"]
            ]
            data_list.append(
                {
                    "img_path": files[0] if len(files) == 1 else files,
                    "img_id": image["id"],
                    "height": image["height"],
                    "width": image["width"],
                    "instances": instances,
                    "segmentations_checked": True,
                }
            )
        return data_list

    def _labels(self, index: dict) -> dict[int, int]:
        """{category id: 0-based label}; sets ``metainfo['classes']``, unless the user did, and
        ``metainfo['category_ids']``.
        """
        names = dict(sorted(index["categories"].items()))
        if self.class_agnostic or not names:
            self._any_classes = not names and not self.classes_are_set
            return dict.fromkeys(names, 0)
        if double := [name for name, count in Counter(names.values()).items() if count > 1]:
            raise CellMMError(
                f"{self.ann_file}: several categories have the name {name_some(double)}; rename them, or set "
                "class_agnostic=True"
            )
        if not self.classes_are_set:
            self._metainfo["classes"] = tuple(names.values())
        classes = list(self._metainfo["classes"])
        if not self.classes_are_set or len(classes) == len(names) == 1:
            self._metainfo["category_ids"] = tuple(names)
            return {number: label for label, number in enumerate(names)}
        if unknown := [name for name in classes if name not in names.values()]:
            raise CellMMError(f"{self.ann_file} has no category {unknown}; it has {list(names.values())}")
        labels = {number: classes.index(name) for number, name in names.items() if name in classes}
        used = Counter(
            names[instance["category_id"]] for image in index["images"] for instance in image["instances"]
        )
        if dropped := {name: count for name, count in used.items() if name not in classes}:
            raise CellMMError(
                f"{self.ann_file}: metainfo.classes {classes} leave out annotations of {dropped}; "
                "add these classes, or set class_agnostic=True"
            )
        numbers = {label: number for number, label in labels.items()}
        self._metainfo["category_ids"] = tuple(numbers[label] for label in range(len(classes)))
        return labels
