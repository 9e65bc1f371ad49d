"""What every dataset of cellmm shares: a checked index of files, read lazily, and a numbered random draw."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dataset import BaseDataset

from cellmm.errors import CellMMError
from cellmm.randomness import seeded


class CellDataset(BaseDataset):
    """An index of images and where their cells are annotated; pixels are read by the pipeline.

    ``load_data_list`` of a subclass returns one dict an image:

    - ``img_path``: str, or list[str] when the channels (two focal planes, say) are in several files;
    - ``img_id``: int, unique in the set;
    - one of ``instances`` (COCO style dicts: ``segmentation``, ``label``, ``iscrowd``, ``area``),
      ``label_path`` (a label image, one page or layers) and ``mask_paths`` (one mask a file);
    - ``height``, ``width`` in pixels, where the annotation states them.

    ``nuclei_dir``: a folder, relative to ``data_root``, with the nuclei of each image in ``<name>.tif`` or
    ``.png``, the name of the image's (first) file without its suffix: a label image or a layered TIFF in
    which nucleus k belongs to cell k, see LoadNuclei. Each image gets its ``nuclei_path``.

    ``dataset[index]`` or ``dataset[index, draw]`` runs the pipeline on that dict, with ``draw`` and ``rng``
    added: a numpy Generator that is a function of (seed, draw) alone, so that neither the process nor the
    worker that reads an image changes what comes out. A plain index means draw = index. The global generators
    of Python, numpy and torch are seeded from the same for the time of the pipeline, for transforms that were
    not written for cellmm.

    ``indices``: an int keeps the first so many images, a sequence those images.
    ``allow_empty``: accept images without any annotated cell; otherwise they are an error, because they are
    most often a file that was forgotten.
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
            pipeline=list(pipeline),
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
            self._find_nuclei(self.resolve(self.nuclei_dir))
        return self.data_list

    def _find_nuclei(self, folder: Path) -> None:
        """Give each image its ``nuclei_path``."""
        paths = [info["img_path"] for info in self.data_list]
        names = [Path(path if isinstance(path, str) else path[0]).stem for path in paths]
        if double := [name for name, count in Counter(names).items() if count > 1]:
            raise CellMMError(
                f"{self.data_root}: several images are called {name_some(double)}; their nuclei in {folder} "
                "cannot be told apart, give each a name of its own"
            )
        ends = (".tif", ".png")
        files = [[path for end in ends if (path := folder / f"{name}{end}").is_file()] for name in names]
        if missing := [name for name, found in zip(names, files, strict=True) if not found]:
            raise CellMMError(
                f"{folder}: no nuclei for {name_some(missing)} of {len(names)} images; put <image name>.tif "
                "or .png there, all 0 where an image has none, or do without nuclei (no nuclei_dir, no "
                "nuclei=True, no LoadNuclei)"
            )
        if twice := [name for name, found in zip(names, files, strict=True) if len(found) > 1]:
            raise CellMMError(f"{folder}: {name_some(twice)} have a .tif and a .png; remove one of the two")
        for info, (path,) in zip(self.data_list, files, strict=True):
            info["nuclei_path"] = str(path)

    def __getitem__(self, index: int | tuple[int, int]) -> Any:
        index, draw = index if isinstance(index, tuple) else (index, None)
        index = range(len(self))[index]
        results = self.get_data_info(index)
        results["draw"] = index if draw is None else draw
        results["rng"] = np.random.default_rng((self.seed, results["draw"]))
        with seeded(self.seed, results["draw"]):
            sample = self.pipeline(results)
        if sample is None:
            raise CellMMError(f"{results['img_path']}: a transform of the pipeline returned None")
        return sample


def name_some(items: Iterable, most: int = 5) -> str:
    """'12: a, b, c, d, e, ...': the count and the first few, for messages."""
    items = [text if (text := str(item)).isprintable() else repr(text) for item in items]
    items = [text if len(text) <= 300 else f"{text[:140]} ... {text[-140:]}" for text in items]
    return f"{len(items)}: {', '.join(items[:most])}{', ...' if len(items) > most else ''}"
