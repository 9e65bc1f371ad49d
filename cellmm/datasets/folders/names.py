"""What the name of a file or folder says: whether it holds images or labels, and of which image."""

import re
from pathlib import PurePosixPath

IMAGES = frozenset("image images img imgs raw orig original originals input inputs".split())
LABELS = frozenset(
    "mask masks label labels lbl lbls seg segs segmentation segmentations gt ground groundtruth truth "
    "annotation annotations annot annots ann anno annos roi rois roiset roisets instance instances layers "
    "target targets manual man cp st".split()
)
FORMATS = frozenset("tif tiff png jpg jpeg bmp ome lsm czi nd2 lif svs ndpi zarr".split())
GENERAL = frozenset("t f frame im cell cells nuclei nucleus series".split())  # say nothing beside a number
CLASS = re.compile(r"class[ _-]?\d+", re.IGNORECASE)  # class1.tif, class2.tif: a label image per class
_TOKEN = re.compile(r"[^\W\d_]+|\d+")
TIERS = 5


def tokens(text: str) -> list[str]:
    """Words and numbers, in lower case.

    Examples:
        >>> tokens("Day 2_t000-Masks")
        ['day', '2', 't', '000', 'masks']
    """
    return _TOKEN.findall(text.casefold())


def role(text: str) -> str | None:
    """'label' or 'image' where the name of a file or folder says so.

    Examples:
        >>> role("a_cp_masks"), role("label images"), role("label-free images"), role("plate 3")
        ('label', 'label', 'image', None)
    """
    words = tokens(text)
    kinds = ["label" if word in LABELS else "image" if word in IMAGES else None for word in words]
    if None not in kinds and "label" in kinds:
        return "label"
    return next((kind for kind in (*kinds[-1:], *kinds[:1]) if kind), None)


def core(text: str, words: frozenset[str]) -> str:
    """The text without those words at its ends.

    Examples:
        >>> core("man_seg012", LABELS), core("a 1.tif_masks", LABELS | FORMATS), core("masks", LABELS)
        ('012', 'a 1', '')
    """
    found = list(_TOKEN.finditer(text))
    while found and found[-1][0].casefold() in words:
        found.pop()
    while found and found[0][0].casefold() in words:
        found.pop(0)
    return text[found[0].start() : found[-1].end()] if found else ""


def context(name: str) -> tuple[str, ...]:
    """What the folders of a relative path say beside 'images' and 'masks'.

    Examples:
        >>> context("day 1/masks/a.png"), context("01_GT/SEG/man_seg000.tif")
        (('day 1',), ('01',))
    """
    parts = (core(part, IMAGES | LABELS).casefold() for part in PurePosixPath(name).parts[:-1])
    return tuple(part for part in parts if part)


def stem(name: str) -> str:
    """The name of a file without folders and suffix: 'a' of 'x/a.ome.tif'."""
    path = PurePosixPath(name)
    return path.stem.removesuffix(".ome") or path.stem


def key(name: str, tier: int, annotation: bool) -> object:
    """What an image and its annotation have in common, strict at tier 0 and loose at tier ``TIERS - 1``.

    Args:
        name: the relative path of the file.
        annotation: whether it is an annotation, else an image.
    """
    text = stem(name)
    if tier == 0:
        return core(text, LABELS | FORMATS) if annotation else text
    text = core(text, IMAGES | LABELS | FORMATS)
    if tier == 1:
        return text
    words = tokens(text)
    if tier == 2:
        return tuple(words)
    numbers = tuple(int(word) for word in words if word.isdecimal())
    if tier == 3:
        return tuple(int(word) if word.isdecimal() else word for word in words)
    return numbers or None


def plain_words(name: str) -> tuple[str, ...]:
    """The words of a file's name that say which image it is, without numbers."""
    words = tokens(core(stem(name), IMAGES | LABELS | FORMATS))
    return tuple(word for word in words if not word.isdecimal() and word not in GENERAL)


def without_number(name: str) -> str | None:
    """The path without the last number of its name, as 'a.png' of 'a_03_mask.png'; None: it has none.

    Examples:
        >>> without_number("x/a_03_mask.png"), without_number("x/a.png")
        ('x/a.png', None)
    """
    path = PurePosixPath(name)
    text = core(stem(name), LABELS | FORMATS)
    found = list(_TOKEN.finditer(text))
    if len(found) < 2 or not found[-1][0].isdecimal():
        return None
    return str(path.with_name(text[: found[-2].end()] + path.suffix))
