"""The base of cellmm's datasets: a checked index of files, read lazily, with numbered random draws."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dataset import BaseDataset

from cellmm.errors import CellMMError
from cellmm.io.label_check import check_labels
from cellmm.io.nuclei_files import find_nuclei
from cellmm.messages import name_some
from cellmm.randomness import seeded
from cellmm.registry import TRANSFORMS


class CellDataset(BaseDataset):
    """An index of images and their annotations; the pipeline reads the pixels.

    ``load_data_list`` of a subclass returns one dict per image:

    - ``img_path``: str, or list[str] when the channels (two focal planes, say) are in several files;
    - ``img_source``, if the image is not a whole file: an ImageSource, such as a frame of a film from
      ``cellmm.io.sources.open_images``; ``img_path`` is its name then;
    - ``img_id``: int, unique in the set;
    - one of ``instances`` (COCO style dicts: ``segmentation``, ``label``, ``iscrowd``, ``area``),
      ``label_path`` (a label image, one page or layers), ``class_paths`` (pairs of a label and the label
      image of its cells) and ``mask_paths`` (one mask per file);
    - ``height``, ``width`` in pixels, if the annotation states them.

    ``nuclei_dir``: a folder, relative to ``data_root``, with the nuclei of each image in ``<name>.tif`` (or
    another image suffix), the name of the image's (first) file without its suffix: a label image or a layered
    TIFF in which nucleus k belongs to cell k, see LoadNuclei. Each image gets its ``nuclei_path``.

    ``dataset[index]`` or ``dataset[index, draw]`` runs the pipeline on that dict, with ``draw`` and ``rng``
    added: a numpy Generator that is a function of (seed, draw) alone, so that neither the process nor the
    worker that reads an image changes what comes out. A plain index means draw = index. Transforms that mix
    images find the dataset itself in ``dataset``. The global generators
    of Python, numpy and torch are seeded from the same numbers while the pipeline runs, for transforms that
    were not written for cellmm.

    ``indices``: an int keeps that many images from the first on, a sequence those images.
    ``allow_empty``: accept images without any annotated cell; otherwise they are an error, because they are
    most often a forgotten file.
    """

    METAINFO: dict = {"classes": ("cell",)}

    def __init__(
        self,
        *,
        data_root: str | os.PathLike = "",
        ann_file: str | os.PathLike = "",
        pipeline: Sequence[dict | Callable] = (),
        test_mode: bool = False,
        seed: int = 0,
        allow_empty: bool = False,
        nuclei_dir: str | os.PathLike | None = None,
        metainfo: Mapping | None = None,
        indices: int | Sequence[int] | None = None,
        lazy_init: bool = False,
    ) -> None:
        self.seed = seed
        self.allow_empty = allow_empty
        self.nuclei_dir = nuclei_dir
        self._new_labels: list[int] | None = (
            None  # new label of each label in the annotation, if the order differs
        )
        self._read_classes: list[str] = []
        self._any_classes = False  # the annotation names no class
        classes = (metainfo or {}).get("classes", ("cell",))
        if isinstance(classes, str) or not classes or not all(isinstance(name, str) for name in classes):
            raise CellMMError(
                f"metainfo.classes is {classes!r}: give a list of class names, such as ('cell',)"
            )
        if indices is not None and not (indices if isinstance(indices, int) else len(indices)):
            raise CellMMError(f"{type(self).__name__}: indices={indices} leaves no image of {data_root}")
        super().__init__(
            ann_file=os.fspath(ann_file),
            metainfo=metainfo,
            data_root=os.fspath(data_root),
            data_prefix={},
            indices=indices,
            # built here: mmengine would look only in the scope of the last config, if there was one
            pipeline=[TRANSFORMS.build(step) if isinstance(step, dict) else step for step in pipeline],
            test_mode=test_mode,
            lazy_init=lazy_init,
        )

    def resolve(self, path: str | os.PathLike) -> Path:
        """``path`` itself if absolute, else below ``data_root``."""
        return Path(self.data_root, path)

    def filter_data(self) -> list[dict]:
        if not self.data_list:
            raise CellMMError(f"{type(self).__name__}: no image in {self.data_root!r}; check data_root")
        paths = [info["img_path"] for info in self.data_list]
        files = [file for path in paths for file in ([path] if isinstance(path, str) else path)]
        if hollow := [file for file in files if os.path.isfile(file) and not os.path.getsize(file)]:
            raise CellMMError(f"image files of 0 bytes, {name_some(hollow)}; copy or export them again")
        if self.nuclei_dir is not None:
            find_nuclei(
                self.data_list, self.resolve(self.nuclei_dir), self.resolve(getattr(self, "img_dir", ""))
            )
        self.all_labels_seen = self.check_labels()
        return self.data_list

    def check_labels(self) -> bool:
        """Refuse labels that cannot be cells, see ``check_labels``; whether all labels were looked at."""
        return check_labels(self.data_list, self.data_root or ".")

    @property
    def names_classes(self) -> bool:
        """Whether the dataset has classes of its own; one without names takes those of another."""
        return not self._any_classes

    def take_class_order(
        self, classes: Sequence[str], source: str, category_ids: Sequence[int] | None = None
    ) -> None:
        """Number the classes as ``source`` does, by their names: label k is ``classes[k]`` from now on.

        Two single classes are the same, whatever their names. ``category_ids``: those of
        ``source``, for a dataset without classes of its own.

        Raises:
            CellMMError: ``classes`` has other names than this dataset.
        """
        self.full_init()
        if self._any_classes:
            self._metainfo["classes"] = tuple(classes)
            if category_ids is not None:
                self._metainfo["category_ids"] = tuple(category_ids)
            return
        own, classes = list(self._metainfo["classes"]), list(classes)
        if own == classes or len(own) == len(classes) == 1:
            return
        first_label = own.index(classes[0]) if classes[0] in own else -1
        named = {"instances", "class_paths"} & set(self.get_data_info(0))
        if sorted(own) != sorted(classes) or (first_label and not named):
            raise CellMMError(
                f"{self.ann_file or self.data_root}: its classes are {own}, those of {source} {classes}: use "
                "the same names in both, or set class_agnostic=True for all datasets"
            )
        self._read_classes = self._read_classes or own
        self._new_labels = [classes.index(name) for name in self._read_classes]
        if "category_ids" in self._metainfo:
            ids = dict(zip(own, self._metainfo["category_ids"], strict=True))
            self._metainfo["category_ids"] = tuple(ids[name] for name in classes)
        self._metainfo["classes"] = tuple(classes)

    def get_data_info(self, idx: int) -> dict:
        info = super().get_data_info(idx)
        if self._new_labels is not None:
            for instance in info.get("instances", ()):
                instance["label"] = self._new_labels[instance.get("label", 0)]
            if "class_paths" in info:
                info["class_paths"] = [(self._new_labels[label], path) for label, path in info["class_paths"]]
        return info

    def __getitem__(self, index: int | tuple[int, int]) -> Any:
        index, draw = index if isinstance(index, tuple) else (index, None)
        index = range(len(self))[index]
        results = self.get_data_info(index)
        results["draw"] = index if draw is None else draw
        results["rng"] = np.random.default_rng((self.seed, results["draw"]))
        if any(getattr(step, "mixes_images", False) for step in getattr(self.pipeline, "transforms", ())):
            results["dataset"] = self
        with seeded(self.seed, results["draw"]):
            sample = self.pipeline(results)
        if sample is None:
            raise CellMMError(f"{results['img_path']}: a transform of the pipeline returned None")
        return sample
