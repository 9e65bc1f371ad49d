"""Whether a head has the classes of the cells that it learns, and queries for all of them."""

from collections.abc import Sequence

from torch import Tensor

from cellmm.errors import CellMMError
from cellmm.models.limits import LimitLog
from cellmm.structures import CellSample


def check_labels(labels: Tensor, num_classes: int, sample) -> None:
    """Refuse cells (labels (M,), from 0) of a class that the head does not have, naming the image."""
    if len(labels) and int(labels.max()) >= num_classes:
        raise CellMMError(
            f"{sample.get('img_path')}: a cell of class {int(labels.max())} (from 0), but the head has "
            f"{num_classes}: set num_classes of the head in model.heads, or class_agnostic=True in the "
            "dataset to take all classes as one"
        )


def check_cells(samples: Sequence[CellSample], num_classes: int, num_queries: int, limits: LimitLog) -> int:
    """How many cells have no query, since their image has more cells than queries; it is warned of each.

    Raises:
        CellMMError: a cell is of a class that the head does not have.
    """
    text = f"{{}} cells have no query and are not learned; set num_queries ({num_queries}) higher"
    without = 0
    for sample in samples:
        labels = sample.gt_instances.labels
        check_labels(labels, num_classes, sample)
        if (unmatched := len(labels) - num_queries) > 0:
            without += unmatched
            limits.say(sample.get("img_path"), {text: unmatched})
    return without
