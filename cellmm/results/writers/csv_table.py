"""Measurements as CSV files."""

import csv
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from cellmm.errors import CellMMError
from cellmm.io.files import atomic_path
from cellmm.io.sources import ImageSource
from cellmm.registry import WRITERS
from cellmm.results.instances import Instances
from cellmm.results.measurement_columns import in_order
from cellmm.results.writers.measured import measured

IMAGE = "image"  # the first column: the name of the image
FORM = dict(encoding="utf-8", errors="backslashreplace", newline="")


@WRITERS.register_module()
class CsvWriter:
    """A table of measurements, one row per cell: ``cells.csv``, and ``parts/csv/a.csv`` of each image.

    Numbers have seven digits; what is not known is left empty. A column that only some images have (that of
    a channel, or in micrometres) is empty for the others in ``cells.csv``.
    """

    option = "csv"
    folder = "csv"
    suffix = ".csv"
    collection = "cells.csv"

    def write(self, path: Path, instances: Instances, source: ImageSource | None) -> Counter[str]:
        """Write the table of an image; see ``Writer``."""
        columns = measured(instances, source)
        with atomic_path(path) as tmp, open(tmp, "w", **FORM) as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow([IMAGE, *columns])
            values = [_texts(column) for column in columns.values()]
            table.writerows((instances.name, *row) for row in zip(*values, strict=True))
        return Counter()

    def collect(self, path: Path, parts: Iterable[Path]) -> None:
        """Put the tables of all images one below another.

        Raises:
            CellMMError: a part is not such a table.
        """
        parts = list(parts)
        found = in_order(dict.fromkeys(name for part in parts for name in _header(part)))
        with atomic_path(path) as tmp, open(tmp, "w", **FORM) as file:
            table = csv.DictWriter(file, [IMAGE, *found], restval="", lineterminator="\n")
            table.writeheader()
            for part in parts:
                table.writerows(_rows(part))


def _texts(column: np.ndarray) -> list[str]:
    if column.dtype.kind != "f":
        return [str(value) for value in column.tolist()]
    return ["" if np.isnan(value) else f"{value:.7g}" for value in column.tolist()]


def _header(part: Path) -> list[str]:
    with open(part, encoding="utf-8", newline="") as file:
        header = next(csv.reader(file), [])
    if not header or header[0] != IMAGE:
        raise CellMMError(f"{part} is not a table of measurements: predict the image again")
    return header[1:]


def _rows(part: Path) -> Iterable[Mapping[str, str]]:
    with open(part, encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)
