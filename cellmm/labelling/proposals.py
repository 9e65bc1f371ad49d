"""The cells that are proposed for an image."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from cellmm.results import Instances
from cellmm.results.run_folder import Record, RunFolder


@dataclass(frozen=True)
class Proposal:
    """One image with the cells that a person is to correct.

    Args:
        stem: of its files, perhaps with folders.
        instances: the proposed cells, best first.
    """

    stem: str
    instances: Instances

    @property
    def picture(self) -> str:
        """The name of its picture, perhaps with folders."""
        return f"{self.stem}.png"


@dataclass(frozen=True)
class Proposals:
    """The proposals of a run, read from its folder one by one each time they are gone through.

    Args:
        folder: of the run.
        records: of the images, in the order of the proposals.
        threshold: cells that score less are not proposed.
    """

    folder: RunFolder
    records: Sequence[Record]
    threshold: float

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[Proposal]:
        for record in self.records:
            found = self.folder.instances(record.stem)
            yield Proposal(record.stem, found.select(found.scores >= np.float32(self.threshold)))
