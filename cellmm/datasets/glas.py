"""GlaS, the glands of the MICCAI 2015 challenge."""

import csv
import os
from collections import defaultdict
from pathlib import Path

import numpy as np
from mmengine.logging import print_log

from cellmm.datasets.label_images import LabelImageDataset
from cellmm.errors import CellMMError
from cellmm.messages import name_some
from cellmm.registry import DATASETS

PATTERNS = dict(
    train="train_*", val="train_*", trainval="train_*", testA="testA_*", testB="testB_*", test="test[AB]_*"
)
GRADES = "Grade.csv"
VAL_SHARE = 0.15


@DATASETS.register_module()
class GlaSDataset(LabelImageDataset):
    """Glands in stained tissue, as the challenge has them: ``train_1.bmp`` with ``train_1_anno.bmp``,
    ``testA_1.bmp``, ``testB_1.bmp``, ..., and ``Grade.csv``; or the same names in the two folders ``images``
    and ``labels``, with any image suffix and without ``_anno``.

    The challenge names no images to validate: 'train' and 'val' divide those named train_*, 'trainval' has
    all of them. About 15% validate, and no patient is on both sides: ``Grade.csv`` says whose an image is. In
    a folder without it each image counts as its own patient, and a line in the log says so. The division is
    the same in each run. 'test' has the images of both 'testA' and 'testB'.

    ``img_id`` counts from 1 in the order of the image names.
    Source: GlaS.

    Args:
        split: 'train', 'val', 'trainval', 'testA', 'testB' or 'test'.
    """

    METAINFO: dict = {"classes": ("gland",)}

    def __init__(self, *, data_root: str | os.PathLike, split: str = "train", **kwargs) -> None:
        if split not in PATTERNS:
            raise ValueError(f"GlaSDataset: split is {split!r}; choose among {', '.join(PATTERNS)}")
        self.split = split
        folders = dict(img_dir="", label_dir="", img_suffix=".bmp", label_suffix="_anno.bmp")
        if Path(data_root, "images").is_dir():
            folders = dict(img_dir="images", label_dir="labels")
        super().__init__(data_root=data_root, pattern=PATTERNS[split], **folders, **kwargs)

    def load_data_list(self) -> list[dict]:
        images = super().load_data_list()
        if self.split not in ("train", "val"):
            return images
        names = [Path(image["img_path"]).stem for image in images]
        validate = _to_validate(dict(zip(names, self._patients(names), strict=True)))
        chosen = [
            image
            for image, name in zip(images, names, strict=True)
            if (name in validate) == (self.split == "val")
        ]
        if not chosen:
            raise CellMMError(
                f"{self.data_root}: {len(images)} images named train_* leave none for {self.split!r}: take "
                "split='trainval', or add images of other patients"
            )
        return [image | dict(img_id=number) for number, image in enumerate(chosen, start=1)]

    def _patients(self, names: list[str]) -> list[str]:
        """Whose each image is, from Grade.csv."""
        path = self.resolve(GRADES)
        if not path.exists():
            print_log(
                f"{path} is absent: which images are of one patient is not known, so those of a patient may "
                "both train and validate; copy the challenge's file there",
                logger="current",
            )
            return names
        try:
            with open(path, newline="", encoding="utf-8-sig") as file:
                rows = [
                    {str(key).strip().lower(): str(value).strip() for key, value in row.items()}
                    for row in csv.DictReader(file)
                ]
        except (OSError, UnicodeError, csv.Error) as error:
            raise CellMMError(f"{path} cannot be read ({error}): copy the challenge's file again") from error
        if rows and not {"name", "patient id"} <= rows[0].keys():
            raise CellMMError(
                f"{path} has the columns {', '.join(rows[0])}: 'name' and 'patient ID' are needed; copy the "
                "challenge's file again"
            )
        patients = {row["name"]: row["patient id"] for row in rows}
        if absent := [name for name in names if name not in patients]:
            raise CellMMError(
                f"{path}: no line for {name_some(absent)} of {len(names)} images: copy the challenge's file "
                "again, or remove these images"
            )
        return [patients[name] for name in names]


def _to_validate(patients: dict[str, str]) -> set[str]:
    """The names of the images that validate, at least one if there are two patients; {name: patient}."""
    images = defaultdict(list)
    for name, patient in sorted(patients.items()):
        images[patient].append(name)
    order = np.random.default_rng(0).permutation(sorted(images)).tolist()
    chosen: set[str] = set()
    for patient in order[:-1]:
        if len(chosen) >= VAL_SHARE * len(patients):
            break
        chosen.update(images[patient])
    return chosen
