"""The cells that are proposed for an image."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from cellmm.labelling.ranking import RankedImage
from cellmm.results import Instances
from cellmm.results.run_folder import RunFolder


@dataclass(frozen=True)
class Proposal:
    """One image with the cells that a person is to correct.

    Args:
        stem: of its files, perhaps with folders.
        instances: the proposed cells, best first.
        certainty: 1 less what images are ranked by, 0 to 1.
    """

    stem: str
    instances: Instances
    certainty: float = 1.0

    @property
    def picture(self) -> str:
        """The name of its picture, perhaps with folders."""
        return f"{self.stem}.png"


@dataclass(frozen=True)
class Proposals:
    """The proposals of a run, read from its folder one by one each time they are gone through.

    Args:
        folder: of the run.
        images: in the order of the proposals.
        threshold: cells that score less are not proposed.
    """

    folder: RunFolder
    images: Sequence[RankedImage]
    threshold: float

    def __len__(self) -> int:
        return len(self.images)

    def __iter__(self) -> Iterator[Proposal]:
        for image in self.images:
            found = self.folder.instances(image.record.stem)
            kept = found.select(found.scores >= np.float32(self.threshold))
            yield Proposal(image.record.stem, kept, 1 - image.uncertainty.score)
