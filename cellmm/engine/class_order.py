"""The same label for the same class in training, validation, test and checkpoint."""

from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.runner import BaseLoop

from cellmm.datasets.contract import take_class_order


def leaves(dataset: Any) -> Iterator[Any]:
    """The datasets inside wrappers."""
    wrapped = vars(dataset)  # ConcatDataset, wrappers that repeat, and that of num_batch_per_epoch
    inside = wrapped.get("datasets") or [wrapped.get("_dataset") or wrapped.get("dataset")]
    if inside == [None]:
        yield dataset
    else:
        for part in inside:
            yield from leaves(part)


def follow_classes(loop: BaseLoop | None, meta: Mapping | None, source: str) -> None:
    """Let the datasets of ``loop`` number their classes as ``meta`` does, and tell its metrics.

    ``meta``: metainfo of another dataset, or a checkpoint's ``dataset_meta``; without classes in it nothing
    is done. ``source``: what messages call it. Call this before a sample is read.

    Raises:
        CellMMError: a dataset has classes of other names.
    """
    classes = (meta or {}).get("classes")
    dataset = getattr(getattr(loop, "dataloader", None), "dataset", None)
    if not classes or dataset is None:
        return
    found = list(leaves(dataset))
    for leaf in found:
        take_class_order(leaf, classes, source, meta.get("category_ids"))
    if hasattr(loop, "evaluator") and hasattr(found[0], "metainfo"):
        loop.evaluator.dataset_meta = found[0].metainfo
