"""The annotated images that cells are copied from."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cellmm.datasets import CellCocoDataset
from cellmm.datasets.transforms.cutouts import background_level, cells_to_copy
from cellmm.errors import CellMMError
from cellmm.io.json_file import read_json
from cellmm.synthesis.backgrounds import Background, background_of

KEPT = 2**30  # bytes of images in memory


@dataclass
class Sources:
    """The annotated images that cells come from, read as they are needed.

    Args:
        dataset: loads them.
        ids: of the annotations of each image, by the image's id.
        used: indices of the images that may be used.
        check: is called with each image that is read, and raises CellMMError where it cannot be used.
    """

    dataset: CellCocoDataset
    ids: dict[int, list[int]]
    used: list[int]
    check: Callable[[dict], None] | None = None
    read: dict[int, dict] = field(default_factory=dict)

    def __getitem__(self, index: int) -> dict:
        """An image with its cells, those that can be copied, and its background."""
        if index not in self.read:
            loaded = self.dataset[index]
            if self.check is not None:
                self.check(loaded)
            cells = loaded["gt_layers"]
            usable = cells_to_copy(cells)
            loaded["usable"] = usable[~loaded["gt_ignore"][usable]]
            loaded["boxes"], loaded["level"] = cells.bboxes(), background_level(loaded["img"], cells)
            self.read[index] = loaded
            while len(self.read) > 1 and sum(map(_bytes, self.read.values())) > KEPT:
                del self.read[next(iter(self.read))]
        return self.read[index]

    def background(self, index: int) -> Background:
        """``background_of`` an image."""
        loaded = self[index]
        if "background" not in loaded:
            loaded["background"] = background_of(loaded["img"], loaded["gt_layers"])
        return loaded["background"]

    def entry(self, loaded: dict, cell: int) -> dict:
        """What the json says of a cell of a source, besides its mask."""
        source = dict(
            file_name=Path(np.atleast_1d(loaded["img_path"])[0]).name,
            image_id=loaded["img_id"],
            annotation_id=self.ids[loaded["img_id"]][cell],
        )
        return dict(label=loaded["gt_labels"][cell], iscrowd=loaded["gt_ignore"][cell], source=source)

    @property
    def categories(self) -> list[dict]:
        """Those of the json, label 0 first."""
        info = self.dataset.metainfo
        return [dict(id=n, name=name) for n, name in zip(info["category_ids"], info["classes"], strict=True)]

    def digest(self) -> str:
        """A hash of the bytes of the json and of all images and nuclei that may be used."""
        infos = [self.dataset.get_data_info(index) for index in self.used]
        nuclei = [info["nuclei_path"] for info in infos if "nuclei_path" in info]
        paths = [self.dataset.ann_file, *(path for info in infos for path in _files(info)), *nuclei]
        return hashlib.sha256("".join(map(_sha256, paths)).encode()).hexdigest()


def open_sources(
    ann_file: Path,
    img_dir: Path,
    nuclei_dir: Path | None = None,
    test: Sequence[Path] | None = None,
    first: int | None = None,
) -> Sources:
    """The images of a COCO json but those of the test set: files of the same bytes, whatever their names.

    Args:
        nuclei_dir: nuclei of the images, numbered as their cells.
        test: COCO json and folder of images that are never used.
        first: how many of the others are used, in the order of the json; None: all.

    Raises:
        CellMMError: a file is absent or cannot be used, all images are test images, or there are not
            ``first`` others.
    """
    steps = [dict(type="LoadImage"), dict(type="LoadCells")]
    steps += [] if nuclei_dir is None else [dict(type="LoadNuclei")]
    nuclei = None if nuclei_dir is None else nuclei_dir.absolute()
    dataset = CellCocoDataset(
        ann_file=ann_file.absolute(),
        img_dir=img_dir.absolute(),
        nuclei_dir=nuclei,
        pipeline=steps,
        allow_empty=True,
    )
    ids = defaultdict(list)
    for annotation in read_json(ann_file)["annotations"]:
        ids[annotation["image_id"]].append(annotation["id"])
    tested = set()
    if test is not None:
        held_out = CellCocoDataset(ann_file=test[0].absolute(), img_dir=test[1].absolute(), allow_empty=True)
        tested = set().union(*(_digests(held_out, i) for i in range(len(held_out))))
    used = [i for i in range(len(dataset)) if not (tested and tested & _digests(dataset, i))]
    if not used:
        raise CellMMError(f"{ann_file}: all {len(dataset)} images are test images; give other images")
    if first is not None and not 0 < first <= len(used):
        raise CellMMError(
            f"{ann_file}: --first {first}, but {len(used)} images may be used; give 1 to {len(used)}"
        )
    return Sources(dataset, ids, used[:first])


def _bytes(loaded: dict) -> int:
    light = loaded["background"].light.nbytes if "background" in loaded else 0
    return loaded["img"].nbytes + light + loaded["gt_layers"].layers.nbytes


def _digests(dataset: CellCocoDataset, index: int) -> set[str]:
    return set(map(_sha256, _files(dataset.get_data_info(index))))


def _files(info: dict) -> Iterable[str]:
    return np.atleast_1d(info["img_path"])


def _sha256(path: str | Path) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
