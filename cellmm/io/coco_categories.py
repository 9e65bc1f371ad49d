"""The category ids of a dataset's classes in COCO files."""

from collections.abc import Mapping

from cellmm.errors import CellMMError


def category_ids(meta: Mapping | None) -> tuple[int, ...]:
    """The category id of each label: ``category_ids`` of a dataset's metainfo, else 1, 2, ... .

    ``meta``: also the ``dataset_meta`` of a checkpoint, in which the ids may be absent.

    Examples:
        >>> category_ids({"classes": ("cell", "nucleus")})
        (1, 2)
        >>> category_ids({"classes": ("cell", "nucleus"), "category_ids": [7, 3]})
        (7, 3)
    """
    meta = meta or {}
    classes = meta.get("classes", ())
    ids = tuple(meta.get("category_ids") or range(1, len(classes) + 1))
    if len(ids) != len(classes) or len(set(ids)) < len(ids):
        raise CellMMError(
            f"category_ids {list(ids)} do not fit the classes {list(classes)}: one id per class"
        )
    return ids
