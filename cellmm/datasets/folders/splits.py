"""Which images of a folder belong to a split, by their names."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from cellmm.errors import CellMMError
from cellmm.messages import name_some

T = TypeVar("T")


def choose(
    found: Mapping[str, T],
    images: Sequence[str] | None,
    split_file: str | os.PathLike | None,
    *,
    root: str | os.PathLike,
    data_root: str | os.PathLike,
) -> dict[str, T]:
    """The images of ``found`` that ``images`` or the lines of ``split_file`` name, in this order; else all.

    ``split_file``: a relative path is looked for in ``data_root``, then in the current folder. ``root``: what
    messages call the folder of the images.

    Raises:
        CellMMError: a name that is not in ``found`` or comes twice, no name, or an absent file.
    """
    wanted, source = images, "images"
    if split_file is not None:
        wanted, source = _read_split(split_file, data_root)
    if wanted is None:
        return dict(found)
    if double := [name for name in dict.fromkeys(wanted) if list(wanted).count(name) > 1]:
        raise CellMMError(f"{source} names images twice, {name_some(double)}: name each once")
    if unknown := [name for name in wanted if name not in found]:
        raise CellMMError(
            f"{source} names images that {root} lacks or that have no annotation, "
            f"{name_some(unknown)}; it has {name_some(found)}: correct {source}, or put the files back"
        )
    if not wanted:
        raise CellMMError(f"{source} names no image: name at least one of {name_some(found)}")
    return {name: found[name] for name in wanted}


def _read_split(split_file: str | os.PathLike, data_root: str | os.PathLike) -> tuple[list[str], str]:
    path = Path(data_root, split_file)
    path = path if path.is_file() else Path(split_file)
    try:
        return read_names(path), str(path)
    except FileNotFoundError:
        raise CellMMError(
            f"{Path(data_root, split_file)} is absent: write the names of its images there, a line each"
        ) from None


def read_names(path: Path) -> list[str]:
    """The names of a split, a line each.

    Raises:
        CellMMError: it is not text.
        FileNotFoundError: it is absent.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        raise CellMMError(f"{path} cannot be read ({error}): write it again as UTF-8 text") from error
    return [line for line in text.split("\n") if line.strip()]
