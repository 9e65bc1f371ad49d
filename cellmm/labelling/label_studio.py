"""Proposals for Label Studio: tasks with predictions, and the labelling interface that they need."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

import numpy as np

from cellmm.io.annotations.label_studio_brush import encode_brush
from cellmm.io.files import atomic_path
from cellmm.labelling.outlines import PARTS, polygons_of
from cellmm.labelling.pictures import PICTURES
from cellmm.labelling.proposals import Proposal, Proposals
from cellmm.labelling.shapes import MASKS, Shapes
from cellmm.results import Instances
from cellmm.results.writers.base import readable
from cellmm.results.writers.rois import EMPTY

FOLDER = "label-studio"
IMAGE, BRUSHES, POLYGONS = "image", "brushes", "polygons"  # the tags of the interface


def write_label_studio(out: Path, proposals: Proposals, shapes: Shapes) -> Counter[str]:
    """Write ``label-studio/tasks.json`` and ``label-studio/interface.xml``.

    A task names its picture as a file of Label Studio's local storage, whose root is ``out``. Its prediction
    is a region per cell: a brush, which is exact, or a polygon. Its score says how sure the model is of the
    image, by which Label Studio can sort tasks.

    Returns:
        What the shapes cannot hold, and how many.
    """
    losses: Counter[str] = Counter()
    classes: dict[str, None] = {}
    with atomic_path(out / FOLDER / "tasks.json") as tmp, open(tmp, "w", encoding="utf-8") as file:
        file.write("[")
        for number, proposal in enumerate(proposals):
            classes |= dict.fromkeys(map(readable, proposal.instances.classes))
            text = json.dumps(_task(proposal, shapes, losses), allow_nan=False)
            file.write(f"{',' if number else ''}\n{text}")
        file.write("\n]\n")
    with atomic_path(out / FOLDER / "interface.xml") as tmp:
        tmp.write_text(_interface(list(classes)), encoding="utf-8")
    return losses


def _task(proposal: Proposal, shapes: Shapes, losses: Counter[str]) -> dict:
    found = proposal.instances
    regions = list(_regions(found, shapes, losses))
    url = f"/data/local-files/?d={quote(f'{PICTURES}/{proposal.picture}', errors='surrogateescape')}"
    return {
        "data": {IMAGE: url},
        "predictions": [
            {"model_version": "cellmm", "score": round(proposal.certainty, 6), "result": regions}
        ],
    }


def _regions(found: Instances, shapes: Shapes, losses: Counter[str]) -> Iterator[dict]:
    height, width = found.shape
    areas = found.masks.areas()
    for i, name in enumerate(map(readable, found.class_names())):
        if not areas[i]:
            losses[EMPTY] += 1
            continue
        region = {
            "id": f"cell{i + 1}",
            "to_name": IMAGE,
            "original_width": width,
            "original_height": height,
            "image_rotation": 0,
            "score": round(float(found.scores[i]), 6),
            "origin": "prediction",
        }
        if shapes.kind == MASKS:
            rle = encode_brush(*found.masks.crop(i), found.shape)
            value = {"format": "rle", "rle": rle, "brushlabels": [name]}
            yield {**region, "from_name": BRUSHES, "type": "brushlabels", "value": value}
            continue
        largest, *others = polygons_of(found.masks, i, shapes.tolerance, losses)
        losses[PARTS] += len(others)
        points = np.round(largest * 100 / (width, height), 6).tolist()
        value = {"points": points, "closed": True, "polygonlabels": [name]}
        yield {**region, "from_name": POLYGONS, "type": "polygonlabels", "value": value}


def _interface(classes: list[str]) -> str:
    """The labelling interface, which has brushes and polygons of each class."""
    labels = "".join(f"\n    <Label value={quoteattr(name)}/>" for name in classes)
    return (
        f'<View>\n  <Image name="{IMAGE}" value="${IMAGE}" zoom="true" zoomControl="true"/>\n'
        f'  <BrushLabels name="{BRUSHES}" toName="{IMAGE}">{labels}\n  </BrushLabels>\n'
        f'  <PolygonLabels name="{POLYGONS}" toName="{IMAGE}" strokeWidth="1">{labels}\n  </PolygonLabels>\n'
        "</View>\n"
    )
