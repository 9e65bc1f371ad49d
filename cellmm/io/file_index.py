"""Finding the files of a dataset, by a pattern that says which image each belongs to."""

import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path

from mmengine.logging import print_log

from cellmm.errors import CellMMError
from cellmm.messages import name_some

IMAGE_SUFFIXES = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp")


def list_files(folder: Path) -> list[str]:
    """Relative posix paths of all files below ``folder``, sorted; hidden files and folders are left out."""
    if not os.path.isdir(folder):
        raise CellMMError(f"{folder} is not a folder: check data_root and the folder names of the dataset")
    files = []
    for root, folders, names in os.walk(folder, followlinks=True, onerror=refuse_unreadable):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in folders:
            link = Path(root, name)
            if link.is_symlink() and link.resolve() in (Path(root).resolve(), *Path(root).resolve().parents):
                raise CellMMError(f"{link} is a link to a folder that holds it: remove the link")
        files += [
            Path(root, name).relative_to(folder).as_posix() for name in names if not name.startswith(".")
        ]
    return sorted(files)


def refuse_unreadable(error: OSError) -> None:
    """Raise the CellMMError of a folder that may not be read, for ``os.walk``."""
    raise CellMMError(f"{error.filename} cannot be read ({error.strerror}): get the right to") from error


def suffix_pattern(suffix: str | None) -> str:
    """The pattern of files that end in ``suffix``, or in any image suffix if it is None. The rest of the path
    names the image.
    """
    ends = [suffix] if suffix is not None else IMAGE_SUFFIXES
    return rf"(?P<image>.+)(?i:{'|'.join(re.escape(end) for end in ends)})"


def group_files(
    folder: Path, pattern: str, *, leave_out: Sequence[Path] = (), optional: bool = False
) -> tuple[dict[str, list[str]], list[str]]:
    """Files below ``folder`` grouped by the image that they belong to.

    ``pattern``: a regular expression that the whole relative posix path has to match; its group ``image`` is
    the name of the image. Folders of ``leave_out`` that lie below ``folder`` are skipped. Returns
    ({image: [path, ...]}, files that do not match), all sorted. It is an error if no file matches,
    unless ``optional``.
    """
    try:
        regex = re.compile(pattern)
    except re.error as error:
        raise CellMMError(f"the file pattern {pattern!r} is not a regular expression: {error}") from error
    if "image" not in regex.groupindex:
        raise CellMMError(f"the file pattern {pattern!r} names no image: put (?P<image>...) around that part")
    groups: dict[str, list[str]] = {}
    others = []
    inside = [left_out.relative_to(folder).as_posix() for left_out in leave_out if folder in left_out.parents]
    for name in list_files(folder):
        if any(name.startswith(f"{left_out}/") for left_out in inside):
            continue
        if match := regex.fullmatch(name):
            groups.setdefault(match["image"], []).append(str(folder / name))
        else:
            others.append(name)
    if not groups and not optional:
        if not others:
            raise CellMMError(f"{folder} holds no file: put the images there, or check data_root")
        raise CellMMError(
            f"{folder}: none of its files ({name_some(others)}) matches the pattern {pattern!r}; check the "
            "folder, or set the suffix or the pattern to fit"
        )
    return groups, others


def group_images(
    folder: Path, patterns: list[str], leave_out: Sequence[Path] = ()
) -> dict[str, str | list[str]]:
    """{image: its file}, or its files in the order of ``patterns`` where there are several."""
    planes = [group_files(folder, pattern, leave_out=leave_out)[0] for pattern in patterns]
    for groups, pattern in zip(planes, patterns, strict=True):
        if several := [files for files in groups.values() if len(files) > 1]:
            raise CellMMError(
                f"{folder}: {len(several)} images have several files for the one pattern {pattern!r}, "
                f"first {name_some(several[0])}; make the pattern or suffix stricter"
            )
    names = set().union(*planes)
    for groups, pattern in zip(planes, patterns, strict=True):
        if missing := sorted(names - groups.keys()):
            raise CellMMError(
                f"{folder}: no file {pattern!r} for {name_some(missing)} of {len(names)} images; add "
                "these files, or change the pattern"
            )
    files = {name: [groups[name][0] for groups in planes] for name in sorted(names)}
    return {name: paths[0] if len(paths) == 1 else paths for name, paths in files.items()}


def without_unpaired(names: Sequence[str], partners: Sequence[str], folder: Path, what: str) -> list[str]:
    """``names`` without those in subfolders that are not among ``partners``; a warning counts them.

    Subfolders may hold files that do not belong to the dataset, such as pictures. In the folder itself a
    name without a partner stays, and is reported by whoever needs the partner.
    """
    left_out = [name for name in names if "/" in name and name not in partners]
    if left_out:
        print_log(
            f"{folder}: in its subfolders are {what} without a partner of the same path, which are left out, "
            f"{name_some(left_out)}; add the other files, or move these away",
            logger="current",
            level=logging.WARNING,
        )
    return [name for name in names if "/" not in name or name in partners]
