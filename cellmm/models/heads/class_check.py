"""Whether a head has the classes of the cells that it learns."""

from torch import Tensor

from cellmm.errors import CellMMError


def check_labels(labels: Tensor, num_classes: int, sample) -> None:
    """Refuse cells (labels (M,), from 0) of a class that the head does not have, naming the image."""
    if len(labels) and int(labels.max()) >= num_classes:
        raise CellMMError(
            f"{sample.get('img_path')}: a cell of class {int(labels.max())} (from 0), but the head has "
            f"{num_classes}: set num_classes of the head in model.heads, or class_agnostic=True in the "
            "dataset to take all classes as one"
        )
