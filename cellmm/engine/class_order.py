"""The same label for the same class in training, validation, test and checkpoint."""

from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.runner import BaseLoop

from cellmm.errors import CellMMError


def leaves(dataset: Any) -> Iterator[Any]:
    """The datasets inside of wrappers."""
    wrapped = vars(dataset)  # of num_batch_per_epoch, ConcatDataset and those that repeat
    inside = wrapped.get("datasets") or [wrapped.get("_dataset") or wrapped.get("dataset")]
    if inside == [None]:
        yield dataset
    else:
        for one in inside:
            yield from leaves(one)


def follow_classes(loop: BaseLoop | None, meta: Mapping | None, source: str) -> None:
    """Let the datasets of ``loop`` number their classes as ``meta`` does, and its metrics know of it.

    ``meta``: metainfo of another dataset, or a checkpoint's ``dataset_meta``; nothing is done without classes
    in it. ``source``: what messages call it. Call it before a sample is read.

    Raises:
        CellMMError: a dataset has classes of other names.
    """
    classes = (meta or {}).get("classes")
    dataset = getattr(getattr(loop, "dataloader", None), "dataset", None)
    if not classes or dataset is None:
        return
    found = list(leaves(dataset))
    for one in found:
        if hasattr(one, "take_class_order"):
            one.take_class_order(classes, source, meta.get("category_ids"))
        elif len(own := getattr(one, "metainfo", {}).get("classes", classes)) > 1 and list(own) != list(
            classes
        ):
            raise CellMMError(
                f"{type(one).__name__}: its classes are {list(own)}, those of {source} {list(classes)}: name "
                "them in the same order"
            )
    if hasattr(loop, "evaluator") and hasattr(found[0], "metainfo"):
        loop.evaluator.dataset_meta = found[0].metainfo
