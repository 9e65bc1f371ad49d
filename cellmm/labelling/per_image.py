"""Proposals for programs that take a file per image: Fiji and QuPath."""

from collections import Counter
from pathlib import Path

from cellmm.labelling.proposals import Proposals
from cellmm.labelling.shapes import Shapes
from cellmm.results.writers import GeoJSONWriter, RoiWriter, Writer

KEPT = "existing files, which may hold corrections (move them away to get new ones)"
BLANK = "zips of images without a cell (Fiji has no empty ones)"


def write_fiji(out: Path, proposals: Proposals, shapes: Shapes) -> Counter[str]:
    """Write ``fiji/<image>.zip``, the ROIs of each image, which are exact whatever ``shapes`` are."""
    return _write(out / "fiji", proposals, RoiWriter(), blank=False)


def write_qupath(out: Path, proposals: Proposals, shapes: Shapes) -> Counter[str]:
    """Write ``qupath/<image>.geojson``, exact annotations: QuPath edits these, and no detections."""
    return _write(out / "qupath", proposals, GeoJSONWriter(object_type="annotation"), blank=True)


def _write(folder: Path, proposals: Proposals, writer: Writer, *, blank: bool) -> Counter[str]:
    """Write a file per image; one that exists is kept, since a person may have saved their work there.

    Args:
        blank: write files without a cell.
    """
    losses: Counter[str] = Counter()
    for proposal in proposals:
        path = folder / f"{proposal.stem}{writer.suffix}"
        if path.exists():
            losses[KEPT] += 1
        elif blank or proposal.instances.masks.areas().any():
            losses += writer.write(path, proposal.instances, None)
        else:
            losses[BLANK] += 1
    return losses
