"""Several datasets in one training, and images that count more than once, with numbered draws."""

import bisect
import itertools
import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from typing import Any

from cellmm.datasets.contract import NumberedDataset, knows_draws, take_class_order
from cellmm.errors import CellMMError
from cellmm.registry import DATASETS


class DatasetWrapper(ABC):
    """Datasets as a single one: ``wrapper[index, draw]`` is an image of theirs with the same draw.

    So augmentation depends on (seed, draw) alone, as in a single dataset. A plain index means draw = index.
    ``metainfo`` is that of the first dataset that has classes; the others number them as it does.
    """

    def __init__(self, datasets: Sequence[NumberedDataset | dict]) -> None:
        name = type(self).__name__
        self.children = [DATASETS.build(part) if isinstance(part, dict) else part for part in datasets]
        if not self.children:
            raise CellMMError(f"{name}: datasets is empty; give at least one")
        for child in self.children:
            if not knows_draws(child):
                raise CellMMError(
                    f"{name}: {type(child).__name__} does not know numbered draws; take a dataset of cellmm, "
                    "or one that follows cellmm.datasets.contract"
                )
        self.full_init()
        meta = self.metainfo
        self.take_class_order(
            meta.get("classes", ()), f"the first dataset of {name}", meta.get("category_ids")
        )

    @property
    def metainfo(self) -> dict:
        return next(filter(_names_classes, self.children), self.children[0]).metainfo

    @property
    def names_classes(self) -> bool:
        """Whether a dataset inside has classes of its own."""
        return any(map(_names_classes, self.children))

    def take_class_order(
        self, classes: Sequence[str], source: str, category_ids: Sequence[int] | None = None
    ) -> None:
        """Let all datasets number their classes as ``source`` does; CellMMError where names differ."""
        for child in self.children:
            take_class_order(child, classes, source, category_ids)

    def full_init(self) -> None:
        """Read the indices, where that was put off with ``lazy_init``."""
        for child in self.children:
            if hasattr(child, "full_init"):
                child.full_init()

    @abstractmethod
    def __len__(self) -> int:
        """Images of all datasets."""

    @abstractmethod
    def locate(self, index: int) -> tuple[NumberedDataset, int]:
        """The dataset that holds image ``index``, from 0, and the index of the image there."""

    def get_data_info(self, index: int) -> dict:
        child, own = self.locate(range(len(self))[index])
        return child.get_data_info(own)

    def __getitem__(self, index: int | tuple[int, int]) -> Any:
        index, draw = index if isinstance(index, tuple) else (index, None)
        index = range(len(self))[index]
        child, own = self.locate(index)
        return child[own, index if draw is None else draw]


@DATASETS.register_module()
class ConcatDataset(DatasetWrapper):
    """The images of several datasets in a row.

    ``img_id`` counts all images from 1, as two datasets may use the same ids.

    Args:
        datasets: configs, or datasets.

    Raises CellMMError where classes differ, or where a dataset does not know numbered draws.
    """

    def __init__(self, *, datasets: Sequence[NumberedDataset | dict]) -> None:
        super().__init__(datasets)
        self.datasets = self.children
        self.ends = list(itertools.accumulate(map(len, self.children)))

    def __len__(self) -> int:
        return self.ends[-1]

    def locate(self, index: int) -> tuple[NumberedDataset, int]:
        number = bisect.bisect_right(self.ends, index)
        return self.children[number], index - (self.ends[number] - len(self.children[number]))

    def get_data_info(self, index: int) -> dict:
        return super().get_data_info(index) | dict(img_id=range(len(self))[index] + 1)

    def __getitem__(self, index: int | tuple[int, int]) -> Any:
        sample = super().__getitem__(index)
        img_id = range(len(self))[index[0] if isinstance(index, tuple) else index] + 1
        if isinstance(sample, dict) and "img_id" in sample:
            sample["img_id"] = img_id
        elif isinstance(sample, dict) and "data_samples" in sample:
            sample["data_samples"].set_metainfo(dict(img_id=img_id))
        return sample


@DATASETS.register_module()
class RepeatDataset(DatasetWrapper):
    """A dataset ``times`` times: inside a ConcatDataset a small set counts for more.

    Alone it makes an epoch longer and changes the order of draws. Not for validation and test, where each
    image is scored once.

    Args:
        dataset: a config, or a dataset.
        times: 1 or more.
    """

    def __init__(self, *, dataset: NumberedDataset | dict, times: int) -> None:
        if isinstance(times, bool) or not isinstance(times, int) or times < 1:
            raise CellMMError(f"RepeatDataset: times is {times!r}; a whole number of at least 1 is needed")
        super().__init__([dataset])
        self.dataset, self.times = self.children[0], times

    def __len__(self) -> int:
        return self.times * len(self.dataset)

    def locate(self, index: int) -> tuple[NumberedDataset, int]:
        return self.dataset, index % len(self.dataset)


@DATASETS.register_module()
class ClassBalancedDataset(DatasetWrapper):
    """A dataset whose images with rare classes count several times, as in mmengine (LVIS, Gupta 2019).

    With f the share of images that show a class, the class asks for max(1, sqrt(oversample_thr / f)). An
    image counts as often as the rarest of its classes asks for, rounded up. Crowd regions do not count.
    Images with a label image per class show the classes of the files that are there, those with other label
    images or masks the first class. Not for validation and test.

    Args:
        dataset: a config, or a dataset.
        oversample_thr: share of images, above 0 and at most 1, below which a class is rare.
    """

    def __init__(self, *, dataset: NumberedDataset | dict, oversample_thr: float) -> None:
        if not 0 < oversample_thr <= 1:
            raise CellMMError(
                f"ClassBalancedDataset: oversample_thr is {oversample_thr!r}; give a share above 0, at most 1"
            )
        super().__init__([dataset])
        self.dataset = self.children[0]
        labels = [_labels(self.dataset.get_data_info(index)) for index in range(len(self.dataset))]
        images = Counter(itertools.chain.from_iterable(labels))
        asked = {label: math.sqrt(oversample_thr / (num / len(labels))) for label, num in images.items()}
        times = [max([1, *(math.ceil(asked[label]) for label in own)]) for own in labels]
        self.indices = [index for index, num in enumerate(times) for _ in range(num)]

    def __len__(self) -> int:
        return len(self.indices)

    def locate(self, index: int) -> tuple[NumberedDataset, int]:
        return self.dataset, self.indices[index]


def _names_classes(dataset: NumberedDataset) -> bool:
    return getattr(dataset, "names_classes", True)


def _labels(info: dict) -> set[int]:
    """The classes that an image shows."""
    if "class_paths" in info:
        return {label for label, _ in info["class_paths"]}
    if "instances" not in info:
        return {0}
    return {cell.get("label", 0) for cell in info["instances"] if not cell.get("iscrowd", 0)}
