"""What a run of prediction came to, summed up image by image."""

from collections import Counter
from dataclasses import dataclass, field

from cellmm.apis.stream import Outcome


@dataclass
class RunSummary:
    """Counts of a run; it keeps a name per image, and nothing of the cells.

    Attributes:
        stems: of the images, in order.
        cells, images: the cells found, and the images that they were looked for in.
        maps: images of which only maps were written.
        tiled, whole: images that this run predicted in tiles, and as a whole.
        failed: {name: why it could not be used}, of images.
        failures: a line for each image or file that could not be used or written.
        losses: {format: {what it could not hold: how often}}.
        parts: {format: the stems of the images that it was written for}.
    """

    stems: list[str] = field(default_factory=list)
    cells: int = 0
    images: int = 0
    maps: int = 0
    tiled: int = 0
    whole: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    losses: dict[str, Counter] = field(default_factory=dict)
    parts: dict[str, list[str]] = field(default_factory=dict)

    def add(self, outcome: Outcome) -> None:
        """Count an image."""
        record = outcome.record
        self.stems.append(record.stem)
        if outcome.predicted:
            self.tiled += outcome.tiled
            self.whole += not outcome.tiled
        if record.error is not None:
            self.failed[record.name] = record.error
            self.failures.append(record.error)
            return
        if record.cells is None:
            self.maps += 1
        else:
            self.images += 1
            self.cells += record.cells
        self.failures += record.failures.values()
        for option in record.files:
            self.parts.setdefault(option, []).append(record.stem)
        for option, lost in record.losses.items():
            self.losses.setdefault(option, Counter()).update(lost)
