"""Proposals for CVAT: annotations in its format 'CVAT for images 1.1', and the labels of the task."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import quoteattr

from cellmm.io.annotations.cvat import encode_mask
from cellmm.io.files import atomic_path
from cellmm.labelling.outlines import polygons_of
from cellmm.labelling.proposals import Proposals
from cellmm.labelling.shapes import MASKS, Shapes
from cellmm.results import Instances
from cellmm.results.writers.base import readable
from cellmm.results.writers.rois import EMPTY

FOLDER = "cvat"


def write_cvat(out: Path, proposals: Proposals, shapes: Shapes) -> Counter[str]:
    """Write ``cvat/annotations.xml`` and ``cvat/labels.json``.

    A cell is a mask, which is exact, or a polygon; the polygons of a cell of several parts are a group.

    Returns:
        What the shapes cannot hold, and how many.
    """
    losses: Counter[str] = Counter()
    classes: dict[str, None] = {}
    with atomic_path(out / FOLDER / "annotations.xml") as tmp, open(tmp, "w", encoding="utf-8") as file:
        file.write('<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n')
        for number, proposal in enumerate(proposals):
            classes |= dict.fromkeys(map(readable, proposal.instances.classes))
            height, width = proposal.instances.shape
            name = quoteattr(readable(proposal.picture))
            file.write(f'  <image id="{number}" name={name} width="{width}" height="{height}">\n')
            for line in _shapes(proposal.instances, shapes, losses):
                file.write(f"    {line}\n")
            file.write("  </image>\n")
        file.write("</annotations>\n")
    labels = [{"name": name, "type": "any", "attributes": []} for name in classes]
    with atomic_path(out / FOLDER / "labels.json") as tmp:
        tmp.write_text(json.dumps(labels, indent=1), encoding="utf-8")
    return losses


def _shapes(found: Instances, shapes: Shapes, losses: Counter[str]) -> Iterator[str]:
    areas = found.masks.areas()
    for i, name in enumerate(found.class_names()):
        if not areas[i]:
            losses[EMPTY] += 1
            continue
        fields = f'label={quoteattr(readable(name))} source="auto" occluded="0" z_order="0"'
        if shapes.kind == MASKS:
            mask, (top, left) = found.masks.crop(i)
            box = f'left="{left}" top="{top}" width="{mask.shape[1]}" height="{mask.shape[0]}"'
            yield f'<mask {fields} {box} rle="{encode_mask(mask)}"/>'
            continue
        rings = polygons_of(found.masks, i, shapes.tolerance, losses)
        group = f' group_id="{i + 1}"' if len(rings) > 1 else ""
        for ring in rings:
            points = ";".join(f"{x:.2f},{y:.2f}" for x, y in ring.tolist())
            yield f'<polygon {fields}{group} points="{points}"/>'
