"""Several data sets in one training, and one several times, with numbered draws."""

import bisect
import itertools
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from cellmm.datasets.base import CellDataset
from cellmm.errors import CellMMError
from cellmm.registry import DATASETS


class DatasetWrapper(ABC):
    """Datasets of cellmm seen as one: ``wrapper[index, draw]`` is one of theirs with this same draw.

    So augmentation depends on (seed, draw) alone, as that of a single dataset does. A plain index means
    draw = index. ``metainfo`` is that of the first dataset that has classes; the others number
    them as it does.
    """

    def __init__(self, datasets: Sequence[CellDataset | dict]) -> None:
        name = type(self).__name__
        self.children = [DATASETS.build(one) if isinstance(one, dict) else one for one in datasets]
        if not self.children:
            raise CellMMError(f"{name}: datasets is empty; give at least one")
        for child in self.children:
            if not isinstance(child, (CellDataset, DatasetWrapper)):
                raise CellMMError(
                    f"{name}: {type(child).__name__} does not know numbered draws; take a dataset of cellmm"
                )
        self.full_init()
        meta = self.metainfo
        self.take_class_order(
            meta.get("classes", ()), f"the first dataset of {name}", meta.get("category_ids")
        )

    @property
    def metainfo(self) -> dict:
        return next((one for one in self.children if one.names_classes), self.children[0]).metainfo

    @property
    def names_classes(self) -> bool:
        """Whether a dataset inside has classes of its own."""
        return any(one.names_classes for one in self.children)

    def take_class_order(
        self, classes: Sequence[str], source: str, category_ids: Sequence[int] | None = None
    ) -> None:
        """Let all datasets number their classes as ``source`` does; CellMMError where names differ."""
        for child in self.children:
            child.take_class_order(classes, source, category_ids)

    def full_init(self) -> None:
        """Read the indices, where that was put off with ``lazy_init``."""
        for child in self.children:
            child.full_init()

    @abstractmethod
    def __len__(self) -> int:
        """Images of all datasets."""

    @abstractmethod
    def locate(self, index: int) -> tuple[CellDataset, int]:
        """The dataset that has image ``index``, from 0, and its index there."""

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
    """The images of several datasets, one after the other.

    ``img_id`` counts the images of all from 1: those of the datasets may be the same.

    Args:
        datasets: configs, or datasets of cellmm.

    Raises CellMMError where classes differ, or where a dataset does not know numbered draws.
    """

    def __init__(self, *, datasets: Sequence[CellDataset | dict]) -> None:
        super().__init__(datasets)
        self.datasets = self.children
        self.ends = list(itertools.accumulate(map(len, self.children)))

    def __len__(self) -> int:
        return self.ends[-1]

    def locate(self, index: int) -> tuple[CellDataset, int]:
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
    """A dataset ``times`` times, in a ConcatDataset so that a small set counts for more.

    Alone it changes only the order of draws: training draws without end anyway. Not for validation and test,
    where each image is scored once.

    Args:
        dataset: a config, or a dataset of cellmm.
        times: 1 or more.
    """

    def __init__(self, *, dataset: CellDataset | dict, times: int) -> None:
        if isinstance(times, bool) or not isinstance(times, int) or times < 1:
            raise CellMMError(f"RepeatDataset: times is {times!r}; a whole number of at least 1 is needed")
        super().__init__([dataset])
        self.dataset, self.times = self.children[0], times

    def __len__(self) -> int:
        return self.times * len(self.dataset)

    def locate(self, index: int) -> tuple[CellDataset, int]:
        return self.dataset, index % len(self.dataset)
