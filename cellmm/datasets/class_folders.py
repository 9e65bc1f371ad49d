"""A folder per image, with the image and a label image per class."""

import logging
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mmengine.logging import print_log

from cellmm.datasets.base import CellDataset
from cellmm.datasets.folders import names
from cellmm.datasets.folders.splits import choose
from cellmm.errors import CellMMError
from cellmm.io.file_index import refuse_unreadable
from cellmm.messages import name_some
from cellmm.registry import DATASETS

CLASS_FILES = ("class1.tif", "class2.tif", "class3.tif", "class4.tif")


@DATASETS.register_module()
class ClassFolderDataset(CellDataset):
    """A folder per image: ``sample_1/image.tif``, ``sample_1/class1.tif`` to ``class4.tif``; subfolders are
    searched too. Source: maskrcnn-report, Data Preprocessing.

    Each number above 0 in the file of a class is one cell of this class. The same number in the files of two
    classes means two cells, and cells that touch stay apart. A class whose file is absent has no cell in that
    image; a file of 0 has none either. Cells of different classes may overlap, those of one class only in a
    TIFF of layers.

    Args:
        img_dir: the folder of the folders, relative to ``data_root``.
        image_file: the name of the image in each folder.
        class_files: the name of the label image of each class, label 0 first.
        images: names of folders, relative to ``img_dir``; None: all.
        split_file: a text file with such a name per line, in place of ``images``; a relative path is looked
            for in ``data_root``, then in the current folder.
        class_agnostic: every class is label 0, ``cell``.
        metainfo: ``classes`` has the names of the classes, one per class file; without it these are the
            names of the files without suffix.
        allow_empty: accept images of which no class file is there.

    ``img_id`` is the place of the image among all, from 1.
    """

    def __init__(
        self,
        *,
        img_dir: str | os.PathLike = "",
        image_file: str = "image.tif",
        class_files: Sequence[str] = CLASS_FILES,
        images: Sequence[str] | None = None,
        split_file: str | os.PathLike | None = None,
        class_agnostic: bool = False,
        **kwargs,
    ) -> None:
        self.img_dir, self.image_file = img_dir, image_file
        self.class_files = (class_files,) if isinstance(class_files, str) else tuple(class_files)
        self.images, self.split_file = images, split_file
        self.class_agnostic = class_agnostic
        if not self.class_files or len({*self.class_files, image_file}) != len(self.class_files) + 1:
            raise CellMMError(
                f"class_files {list(self.class_files)}, image_file {image_file!r}: each class and the image "
                "have a file of its own"
            )
        meta = dict(kwargs.pop("metainfo", None) or {})
        stems = tuple(Path(name).stem for name in self.class_files)
        meta.setdefault("classes", ("cell",) if class_agnostic else stems)
        if not class_agnostic and len(meta["classes"]) != len(self.class_files):
            raise CellMMError(
                f"metainfo.classes {meta['classes']} for class_files {list(self.class_files)}: give a name "
                "for each file, or set class_agnostic=True"
            )
        super().__init__(metainfo=meta, **kwargs)

    def load_data_list(self) -> list[dict]:
        root = self.resolve(self.img_dir)
        if not root.is_dir():
            raise CellMMError(f"{root} is not a folder: check data_root and img_dir")
        found = self._find(root)
        numbers = {name: number for number, name in enumerate(found, start=1)}
        chosen = choose(found, self.images, self.split_file, root=root, data_root=self.data_root)
        data_list = [
            {
                "img_path": str(root / name / self.image_file),
                "img_id": numbers[name],
                "class_paths": [
                    (0 if self.class_agnostic else label, str(root / name / file))
                    for label, file in enumerate(self.class_files)
                    if file in files
                ],
            }
            for name, files in chosen.items()
        ]
        empty = [name for name, info in zip(chosen, data_list, strict=True) if not info["class_paths"]]
        if empty and not self.allow_empty:
            raise CellMMError(
                f"{root}: no class file for {name_some(empty)} of {len(chosen)} images; set allow_empty=True "
                "if they hold no cell"
            )
        files = Counter(Path(path).name for info in data_list for _, path in info["class_paths"])
        counts = ", ".join(f"{name} in {files[name]}" for name in self.class_files)
        print_log(f"{root}: {len(chosen)} images, {len(empty)} without a class file; {counts}", "current")
        return data_list

    def _find(self, root: Path) -> dict[str, list[str]]:
        """{folder: its files} of the folders with an image, sorted."""
        found: dict[str, list[str]] = {}
        others: list[str] = []
        for folder, _, files in sorted(os.walk(root, followlinks=True, onerror=refuse_unreadable)):
            name = Path(os.path.relpath(folder, root)).as_posix()
            visible = [file for file in files if not file.startswith(".")]
            numbered = {file for file in visible if names.CLASS.fullmatch(names.stem(file))}
            classes = numbered | set(self.class_files).intersection(visible)
            if classes:
                self._check(Path(folder), visible, sorted(classes))
            known = {self.image_file, *self.class_files}
            if name != ".":  # lists of splits and notes lie there
                others += [f"{name}/{file}" for file in sorted(set(visible) - known)]
            if self.image_file in visible:
                found[name] = visible
        if not found:
            raise CellMMError(
                f"{root}: no folder holds {self.image_file}; set image_file to the name of the image in each "
                "folder"
            )
        if others:
            print_log(
                f"{root}: files that are neither {self.image_file} nor of a class, not used: "
                f"{name_some(others)}",
                logger="current",
                level=logging.WARNING,
            )
        return found

    def _check(self, folder: Path, files: Sequence[str], classes: Sequence[str]) -> None:
        if self.image_file not in files:
            raise CellMMError(f"{folder} has {classes[0]} and no {self.image_file}: add the image")
        if unknown := [name for name in classes if name not in self.class_files]:
            raise CellMMError(
                f"{folder}: {name_some(unknown)} not in class_files {list(self.class_files)}: add it there "
                "with a name in metainfo.classes, or move the file away"
            )
