"""COCO segmentations of any of the three kinds, checked and as compressed RLE."""

from pycocotools import mask as coco_mask


def instance_rle(segmentation: dict | list, shape: tuple[int, int]) -> dict:
    """Compressed RLE with str counts, of a compressed or uncompressed RLE or of polygons [[x, y, x, y, ...]].

    Polygons are filled by pycocotools' rule, by which published results of COCO style sets were scored;
    several polygons are the union of their insides.
    """
    if isinstance(segmentation, list):
        rle = coco_mask.merge(coco_mask.frPyObjects(segmentation, *shape))
    elif isinstance(segmentation["counts"], list):
        rle = coco_mask.frPyObjects(segmentation, *shape)
    else:
        rle = segmentation
    counts = rle["counts"]
    return {"size": list(rle["size"]), "counts": counts.decode() if isinstance(counts, bytes) else counts}


def check_segmentation(segmentation: object, shape: tuple[int, int]) -> str | None:
    """What is wrong with the segmentation of an image of this (h, w), or None."""
    if isinstance(segmentation, list):
        if not segmentation:
            return "no polygon"
        if not all(isinstance(part, list) and len(part) >= 6 and len(part) % 2 == 0 for part in segmentation):
            return "a polygon of fewer than 3 points or an odd number of coordinates"
    elif isinstance(segmentation, dict) and {"size", "counts"} <= segmentation.keys():
        if tuple(segmentation["size"]) != shape:
            return f"an RLE of size {segmentation['size']} in an image of {list(shape)} (h, w)"
        if isinstance(segmentation["counts"], list) and sum(segmentation["counts"]) != shape[0] * shape[1]:
            return f"an RLE of {sum(segmentation['counts'])} pixels in an image of {list(shape)} (h, w)"
    else:
        return "neither polygons nor an RLE"
    return None
