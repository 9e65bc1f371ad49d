"""Images in the order in which labels tell a model most."""

import csv
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cellmm.io.files import atomic_path
from cellmm.labelling.mirrored import turned_back
from cellmm.labelling.uncertainty import Uncertainty, uncertainty_of
from cellmm.results.run_folder import Record, RunFolder

COLUMNS = ("rank", "image", "score", "cells", "candidates", "in_doubt", "entropy", "disagreement", "proposed")


@dataclass(frozen=True)
class RankedImage:
    """An image of a run with what the model is unsure of in it."""

    record: Record
    uncertainty: Uncertainty


def rank_images(
    run: RunFolder, records: Iterable[Record], threshold: float, mirror_run: RunFolder | None = None
) -> list[RankedImage]:
    """The images, the least sure first; those in which nothing is found come last. One is read at a time.

    Args:
        records: of images with cells in ``run``.
        threshold: cells with this score or more are proposed.
        mirror_run: of the mirror images.
    """
    ranked = []
    for record in records:
        mirrored = None if mirror_run is None else turned_back(mirror_run.instances(record.stem))
        unsure = uncertainty_of(run.instances(record.stem), threshold, mirrored)
        ranked.append(RankedImage(record, unsure))
    return sorted(ranked, key=lambda image: (image.uncertainty.is_blank, -image.uncertainty.score))


def write_ranking(path: Path, ranked: Sequence[RankedImage], proposed: Collection[str]) -> None:
    """Write the ranking as CSV, a row per image.

    Args:
        proposed: the stems of the images whose cells are proposed.
    """
    with (
        atomic_path(path) as tmp,
        open(tmp, "w", encoding="utf-8", errors="backslashreplace", newline="") as file,
    ):
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        for rank, image in enumerate(ranked, 1):
            unsure = image.uncertainty
            counts = (unsure.cells, unsure.candidates, unsure.in_doubt)
            disagreement = "" if unsure.disagreement is None else f"{unsure.disagreement:.4f}"
            shares = (f"{unsure.entropy:.4f}", disagreement)
            is_proposed = "yes" if image.record.stem in proposed else "no"
            table.writerow((rank, image.record.name, f"{unsure.score:.4f}", *counts, *shares, is_proposed))
