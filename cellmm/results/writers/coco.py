"""COCO json: what annotation tools and cellmm's own COCO dataset read."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from cellmm.io.coco_results import coco_annotations, merge_coco, write_coco
from cellmm.io.sources import ImageSource
from cellmm.registry import WRITERS
from cellmm.results.instances import Instances


@WRITERS.register_module()
class CocoWriter:
    """A COCO json per image, and one of all images; overlap is kept, as each cell has an RLE of its own.

    Categories have the ids and names of the annotation that the model was trained on.
    """

    option = "coco"
    folder = "coco"
    suffix = ".json"
    collection = "cells.json"

    def write(self, path: Path, instances: Instances, source: ImageSource | None) -> Counter[str]:
        write_coco(path, _content(instances))
        return Counter()

    def collect(self, path: Path, parts: Iterable[Path]) -> None:
        merge_coco(path, parts)


def to_coco(instances: Instances) -> dict:
    """The content of a COCO json of one image, whose id is 1; cell i has the id i + 1."""
    content = _content(instances)
    return {**content, "annotations": list(content["annotations"])}


def _content(instances: Instances) -> dict:
    """As ``to_coco``, with an iterator of annotations."""
    height, width = instances.shape
    names = zip(instances.category_ids, instances.classes, strict=True)
    return dict(
        images=[dict(id=1, file_name=instances.name, height=height, width=width)],
        annotations=coco_annotations(
            instances.masks,
            instances.scores.tolist(),
            [instances.category_ids[label] for label in instances.labels.tolist()],
        ),
        categories=[dict(id=number, name=name) for number, name in names],
    )
