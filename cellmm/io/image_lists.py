"""What a user may name in place of an image file: a list on standard input, a pattern, a COCO json."""

import glob
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from cellmm.errors import CellMMError
from cellmm.messages import name_some

STDIN = "-"
FOLDERS = (".", "images", "..", "../images")  # that file names of a json may be relative to, from its own


def expand(inputs: Sequence[str | Path], stdin: Iterable[str] | None = None) -> Iterator[Path]:
    """The files and folders that ``inputs`` stand for, absolute.

    ``-`` stands for the lines of standard input, a path each; a name with ``*``, ``?`` or ``[`` that does not
    exist for the paths that fit it (``**`` for any folders); a json for its images.

    Args:
        stdin: lines, in place of those of standard input.

    Raises:
        CellMMError: a list is empty, a pattern fits nothing, or the json does not list images.
    """
    for given in inputs:
        if str(given) == STDIN:
            lines = [line.strip() for line in (sys.stdin if stdin is None else stdin)]
            if not any(lines):
                raise CellMMError("-: standard input lists no image; give one path per line")
            yield from map(_absolute, filter(None, lines))
        elif not os.path.lexists(given) and glob.has_magic(str(given)):
            fitting = sorted(glob.glob(str(given), recursive=True))
            if not fitting:
                raise CellMMError(f"{given}: no file fits this pattern; check the folder and the quotes")
            yield from map(_absolute, fitting)
        elif Path(given).suffix.lower() == ".json" and os.path.isfile(given):
            yield from _listed(_absolute(given))
        else:
            yield _absolute(given)


def _absolute(path: str | Path) -> Path:
    return Path(os.path.abspath(path))


def _listed(path: Path) -> list[Path]:
    """The images of a COCO json, in its order."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CellMMError(f"{path} cannot be read as json ({error}): name image files or folders") from error
    images = content.get("images") if isinstance(content, dict) else None
    if not isinstance(images, list) or not images or not all(isinstance(image, dict) for image in images):
        raise CellMMError(f"{path} lists no images: a COCO json has a list 'images' with a file_name each")
    if several := [image for image in images if "file_names" in image]:
        raise CellMMError(
            f"{path}: {len(several)} of {len(images)} images have their channels in several files: save "
            "each as one TIFF"
        )
    names = [image.get("file_name") for image in images]
    if nameless := sum(not isinstance(name, str) or not name for name in names):
        raise CellMMError(f"{path}: {nameless} of {len(images)} images have no file_name: export it again")
    for folder in FOLDERS:
        files = [_absolute(path.parent / folder / name) for name in names]
        if files[0].exists():
            break
    else:
        files = [path.parent / name for name in names]
    if absent := [file for file in files if not file.exists()]:
        raise CellMMError(
            f"{path}: image files absent, {name_some(absent)} of {len(files)}; put the json beside the "
            "images, or beside their folder 'images'"
        )
    return files
