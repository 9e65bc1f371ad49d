"""COCO segmentations (polygons, RLE, compressed RLE): checked, and as compressed RLE."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from cellmm.errors import CellMMError
from cellmm.messages import name_some
from cellmm.structures import rle as rle_ops

MAX_OUTLINE = 2**22  # px; pycocotools takes 80 bytes per pixel of it, and crashes if it cannot have them


def instance_rle(segmentation: dict | list, shape: tuple[int, int]) -> dict:
    """Compressed RLE with str counts, of a compressed or uncompressed RLE or of polygons [[x, y, x, y, ...]].

    Polygons are filled by pycocotools' rule, by which published results of COCO style sets were scored;
    several polygons are the union of their insides. The segmentation has passed ``check_segmentations``.

    Examples:
        >>> instance_rle([[0, 0, 2, 0, 2, 1, 0, 1]], (2, 2))
        {'size': [2, 2], 'counts': '01100'}
        >>> instance_rle({"size": [2, 2], "counts": [1, 3]}, (2, 2))
        {'size': [2, 2], 'counts': '13'}
    """
    if isinstance(segmentation, list):
        rle = coco_mask.merge(coco_mask.frPyObjects(segmentation, *shape))
    elif isinstance(segmentation["counts"], list):
        rle = coco_mask.frPyObjects({"size": list(shape), "counts": segmentation["counts"]}, *shape)
    else:
        rle = segmentation
    counts = rle["counts"]
    return {"size": list(shape), "counts": counts.decode() if isinstance(counts, bytes) else counts}


def check_instances(instances: Sequence[dict], shape: tuple[int, int], source: str) -> list[dict]:
    """Check the cells of a dataset that has not done so itself, and return them in plain types.

    Raises CellMMError where a cell cannot be used.

    ``source``: the image's name in messages. Segmentations reach C code, which trusts them.
    """
    plain, wrong = [], []
    for i, instance in enumerate(instances):
        if not isinstance(instance, dict) or "segmentation" not in instance:
            raise CellMMError(f"{source}: instance {i} has no segmentation; give an RLE or polygons")
        if not (isinstance(label := instance.get("label", 0), int | np.integer) and label >= 0):
            wrong.append(f"instance {i} has the label {short(label)}, not a whole number from 0")
        plain.append(instance | {"segmentation": _plain(instance["segmentation"])})
    problems = check_segmentations([instance["segmentation"] for instance in plain], shape)
    wrong += [f"instance {i} is {text}" for i, text in problems.items()]
    if wrong:
        raise CellMMError(f"{source}: cells to repair or leave out, {name_some(wrong)}")
    return plain


def _plain(segmentation: Any) -> Any:
    """Lists and text for arrays, tuples and bytes."""
    if isinstance(segmentation, list | tuple | np.ndarray):
        return [part.tolist() if isinstance(part, np.ndarray) else part for part in segmentation]
    if isinstance(segmentation, dict):
        segmentation = {
            key: value.tolist() if isinstance(value, np.ndarray) else value
            for key, value in segmentation.items()
        }
        if isinstance(size := segmentation.get("size"), tuple):
            segmentation["size"] = list(size)
        if isinstance(counts := segmentation.get("counts"), bytes):
            segmentation["counts"] = counts.decode("ascii", "replace")
    return segmentation


def check_segmentations(segmentations: Sequence[Any], shape: tuple[int, int]) -> dict[int, str]:
    """{index: what is wrong} for the segmentations of an image of (h, w) that cannot be used.

    Polygons may reach beyond the edge of the image, where they are cut off, but not lie wholly outside. An
    empty mask is not wrong.
    """
    problems = {
        i: text for i, segmentation in enumerate(segmentations) if (text := _check(segmentation, shape))
    }
    rles = {
        i: segmentation
        for i, segmentation in enumerate(segmentations)
        if i not in problems and _is_compressed(segmentation)
    }
    try:
        rle_ops.validate(list(rles.values()), shape)
    except CellMMError:
        for i, segmentation in rles.items():
            try:
                rle_ops.validate([segmentation], shape)
            except CellMMError as error:
                problems[i] = f"an RLE that {str(error).partition(' of 1 ')[2]}"
    return problems


def _check(segmentation: Any, shape: tuple[int, int]) -> str | None:
    if isinstance(segmentation, list):
        return _check_polygons(segmentation, shape)
    if not isinstance(segmentation, dict) or not {"size", "counts"} <= segmentation.keys():
        return "neither polygons nor an RLE"
    size, counts = segmentation["size"], segmentation["counts"]
    if not isinstance(counts, list | str):
        return f"an RLE with the counts {short(counts)}"
    if size != list(shape):
        return f"an RLE of size {short(size)} in an image of {list(shape)} (h, w)"
    return _check_counts(counts, shape) if isinstance(counts, list) else None


def _is_compressed(segmentation: Any) -> bool:
    return isinstance(segmentation, dict) and isinstance(segmentation["counts"], str)


def _check_polygons(polygons: list, shape: tuple[int, int]) -> str | None:
    if not polygons:
        return "an empty list of polygons, as in a file with boxes only"
    if not all(isinstance(part, list) for part in polygons):
        return "one list of numbers, not a list of polygons [[x, y, x, y, ...]]"
    if not all(len(part) >= 6 and len(part) % 2 == 0 for part in polygons):
        return "a polygon of fewer than 3 points or an odd number of coordinates"
    outside, length = True, 0.0
    for part in polygons:
        try:
            values = np.array(part)
        except (ValueError, OverflowError):  # lists in lists of different lengths, or 10**400
            values = np.array(None)
        if values.ndim != 1 or values.dtype.kind not in "iuf":
            return "a polygon with a coordinate that is not a number"
        values = values.astype(np.float64)
        # pycocotools crashes on coordinates far outside; NaN fails here, too
        if not (np.abs(values) <= 10 * sum(shape)).all():
            most = np.abs(values).max()
            return f"a polygon with coordinates up to {most:g} in an image of {list(shape)} (h, w)"
        length += _outline_length(values)
        x, y = values[0::2], values[1::2]
        outside &= bool(x.max() <= 0 or y.max() <= 0 or x.min() >= shape[1] or y.min() >= shape[0])
    if length > MAX_OUTLINE:
        return f"a polygon with an outline of {length:.0f} px, more than {MAX_OUTLINE}; an RLE can hold it"
    return f"a polygon outside of the image of {list(shape)} (h, w)" if outside else None


def _outline_length(polygon: np.ndarray) -> float:
    """Steps from pixel to pixel along the closed polygon [x0, y0, x1, y1, ...]."""
    points = polygon.reshape(-1, 2)
    return float(np.abs(points - np.roll(points, 1, axis=0)).max(axis=1).sum())


def _check_counts(counts: list, shape: tuple[int, int]) -> str | None:
    pixels = shape[0] * shape[1]
    if not all(type(number) is int and 0 <= number <= pixels for number in counts):
        return f"an RLE with counts that are not whole numbers from 0 to {pixels}, the pixels of its image"
    if sum(counts) != pixels:
        return f"an RLE of {sum(counts)} pixels in an image of {list(shape)} (h, w)"
    return None


def short(value: Any) -> str:
    """``repr`` of a value from a file, cut to a length that fits in a message."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
