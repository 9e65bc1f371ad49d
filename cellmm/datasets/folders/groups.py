"""Which images belong together, so that a split does not part them."""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from cellmm.datasets.folders.names import context

# the number of a part of a film, a well or a larger image
_PART = re.compile(
    r"(?:[ _.-]+|(?<=\d)|^)"
    r"(?:(?:t|time|frame|fr|f|fov|field|s|site|pos|position|xy|z|tile|crop|patch|part|roi)[ _.-]?\d+"
    r"|\d+d\d+h\d+m)(?:[ _.-]\d+)?$",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"[ _.-]+\(?\d+\)?$")
FEWEST = 5  # groups by a number alone: two or three are as often the conditions of an experiment


def groups_of(names: Sequence[str]) -> list[str]:
    """The group of each image, from its name (a relative path without suffix).

    Names that differ in the number of a time point, field, site, position, plane, tile or crop at their end
    are a group. Without such names, images in several subfolders are grouped by these. Else names that
    differ in a number at their end alone are a group, where that makes at least five groups.

    Examples:
        >>> groups_of(["B03_s1", "B03_s2", "C04_s1"])
        ['B03', 'B03', 'C04']
        >>> groups_of(["images/1", "images/2"])
        ['images/1', 'images/2']
    """
    folders = ["/".join(context(name)) for name in names]
    stems = [PurePosixPath(name).name for name in names]
    parts = [stem[: match.start()] if (match := _PART.search(stem)) else stem for stem in stems]
    several = len(set(folders)) > 1
    if all(parts) and len(set(zip(folders, parts, strict=True))) < len(names):
        return [f"{folder}/{part}" if several else part for folder, part in zip(folders, parts, strict=True)]
    if several:
        return folders
    prefixes = [_NUMBER.sub("", stem) for stem in stems]
    if all(prefixes) and FEWEST <= len(set(prefixes)) < len(names):
        return prefixes
    return list(names)
