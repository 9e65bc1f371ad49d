"""The report: one HTML file that needs nothing else, made from the images' rows one after another."""

import base64
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import IO, Any

import jinja2
import numpy as np

import cellmm
from cellmm.io.files import atomic_path
from cellmm.results.report.distributions import Figure, Histogram, shown
from cellmm.results.report.row import UNITS, ReportRow

EMBEDDED = 40_000_000  # bytes of large pictures inside the page; the others lie beside it
LINES = 1000  # failures and warnings that are listed
TITLES = {"area": "Area", "length": "Length", "width_mean": "Mean width", "score": "Score"}


def write_report(
    path: str | Path, rows: Iterable[ReportRow], about: Mapping[str, str], warnings: Sequence[str] = ()
) -> None:
    """Write the report of a folder of images; the memory it takes does not grow with their number.

    The same rows give the same bytes. Large pictures are part of the page up to ``EMBEDDED`` bytes in all;
    from then on, pictures that are files are linked, and others are written into the folder
    ``<name of the page>_pictures`` beside it.

    Args:
        about: what the head of the page says about the run, in this order: model, config ...
        warnings: lines about the whole run.
    """
    path = Path(path)
    with atomic_path(path) as tmp, tempfile.TemporaryFile("w+", encoding="utf-8") as spool:
        summary = _Summary(warnings)
        pictures = _Pictures(path)
        for number, row in enumerate(rows):
            summary.add(row)
            spool.write(json.dumps(_facts(row, pictures.place(row.picture, number))) + "\n")
        with open(tmp, "w", encoding="utf-8", newline="\n", errors="backslashreplace") as file:
            _write_page(file, lambda: _lines(spool), about, summary)
        pictures.remove_others()


def _write_page(
    file: IO[str], rows: Callable[[], Iterator[dict]], about: Mapping[str, str], summary: "_Summary"
) -> None:
    text = {name: (files(__package__) / name).read_text(encoding="utf-8") for name in ("page.css", "page.js")}
    digest = hashlib.sha256(text["page.js"].encode()).digest()
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__, "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"shown": shown}
    unit = "µm" if summary.in_micrometres else "px"
    page = environment.get_template("page.html").stream(
        rows=rows(),
        about={**about, "cellmm": cellmm.__version__, **summary.about()},
        summary=summary,
        figures=summary.figures(),
        unit=unit,
        css=text["page.css"],
        script=text["page.js"],
        script_hash=base64.b64encode(digest).decode(),
    )
    page.dump(file)


def _lines(spool: IO[str]) -> Iterator[dict]:
    spool.seek(0)
    for line in spool:
        yield json.loads(line)


def _facts(row: ReportRow, picture: str | None) -> dict[str, Any]:
    """What the page's table says about an image."""
    values = row.measurements
    medians = {
        name: float(np.nanmedian(values[name]))
        for name in (*UNITS, *UNITS.values(), "score")
        if name in values and np.isfinite(values[name]).any()
    }
    overlapping = int(np.count_nonzero(values["area_overlap"])) if "area_overlap" in values else None
    return {
        "name": row.name,
        "num_cells": row.num_cells,
        "medians": medians,
        "overlapping": overlapping,
        "thumbnail": row.thumbnail and data_uri(row.thumbnail),
        "picture": picture,
        "shape": row.shape,
        "pixel_size": row.pixel_size,
        "error": row.error,
        "warnings": row.warnings,
    }


def data_uri(picture: bytes) -> str:
    """The address of a PNG, JPEG or SVG that is inside of the page."""
    kind = "png" if picture.startswith(b"\x89PNG") else "jpeg"
    kind = "svg+xml" if picture.startswith(b"<?xml") else kind
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"


class _Pictures:
    """Where the large pictures go: into the page while there is room, else beside it."""

    def __init__(self, page: Path) -> None:
        self.page = page
        self.folder = page.with_name(f"{page.stem}_pictures")
        self.room = EMBEDDED
        self.written: set[Path] = set()

    def place(self, picture: bytes | Path | None, number: int) -> str | None:
        """The address of a picture in the page."""
        if picture is None:
            return None
        data = picture if isinstance(picture, bytes) else None
        size = os.path.getsize(picture) if data is None else len(data)
        if size <= self.room:
            self.room -= size
            return data_uri(Path(picture).read_bytes() if data is None else data)
        self.room = 0  # all that follow are files, too
        if data is not None:
            suffix = ".png" if data.startswith(b"\x89PNG") else ".jpg"
            picture = self.folder / f"{number + 1:06d}{suffix}"
            with atomic_path(picture) as tmp:
                tmp.write_bytes(data)
            self.written.add(picture)
        relative = os.path.relpath(picture, self.page.parent)
        return "/".join(jinja2.filters.do_urlencode(part) for part in Path(relative).parts)

    def remove_others(self) -> None:
        """Remove the pictures of an earlier page of this name."""
        for picture in set(self.folder.glob("[0-9]*.[jp][pn]g")) - self.written:
            picture.unlink()


class _Summary:
    """What the head of the page says, added up over the images."""

    def __init__(self, warnings: Sequence[str]) -> None:
        self.num_images = self.num_cells = self.num_failed = self.num_empty = 0
        self.failures: list[tuple[str, str]] = []
        self.num_warnings = 0
        self.warnings: list[tuple[str, str]] = []
        self._sizes: set[tuple[float, float] | None] = set()
        self._per_image = Histogram()
        self._cells = {name: Histogram() for name in (*UNITS, *UNITS.values(), "score")}
        for line in warnings:
            self._warn("", line)

    def add(self, row: ReportRow) -> None:
        """Count an image."""
        self.num_images += 1
        if row.error is not None:
            self.num_failed += 1
            if len(self.failures) < LINES:
                self.failures.append((row.name, row.error))
            return
        self.num_cells += row.num_cells
        self.num_empty += row.num_cells == 0
        if len(self._sizes) < 100:
            self._sizes.add(row.pixel_size)
        self._per_image.add(np.array([row.num_cells]))
        for name, histogram in self._cells.items():
            histogram.add(row.measurements.get(name, np.zeros(0)))
        for line in row.warnings:
            self._warn(row.name, line)

    def _warn(self, name: str, line: str) -> None:
        self.num_warnings += 1
        if len(self.warnings) < LINES:
            self.warnings.append((name, line))

    @property
    def in_micrometres(self) -> bool:
        """Whether all cells were measured in micrometres."""
        cells = self._cells
        return 0 < cells["area"].num == cells["area_um2"].num

    @property
    def mixed(self) -> int:
        """Cells without a pixel size where others have it."""
        return self._cells["area"].num - self._cells["area_um2"].num if self._cells["area_um2"].num else 0

    @property
    def sizes_differ(self) -> bool:
        """Whether images have different pixel sizes."""
        return len(self._sizes) > 1

    def about(self) -> dict[str, str]:
        """The pixel sizes."""
        if not self._sizes:
            return {}
        known = sorted(size for size in self._sizes if size is not None)
        texts = [f"{y:.6g} µm" if y == x else f"{y:.6g} x {x:.6g} µm (height x width)" for y, x in known[:3]]
        texts += [f"{len(known) - 3} others"] * (len(known) > 3)
        texts += ["not known: lengths are in pixels" if not known else "not known in some images"] * (
            None in self._sizes
        )
        return {"Pixel size": ", ".join(texts)}

    def figures(self) -> list[Figure]:
        """The distributions of what there is."""
        found = [Figure("Cells per image", "images", "cells", self._per_image, whole=True)]
        for name, title in TITLES.items():
            key = UNITS[name] if self.in_micrometres and name in UNITS else name
            unit = "" if name == "score" else "µm" if self.in_micrometres else "px"
            unit += "²" if name == "area" else ""
            found.append(Figure(title, "cells", unit, self._cells[key], whole=key == "area"))
        return [figure for figure in found if figure.histogram.num]
