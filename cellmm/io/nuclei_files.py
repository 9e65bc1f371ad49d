"""Finding the file that holds an image's nuclei."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from cellmm.errors import CellMMError
from cellmm.io.file_index import IMAGE_SUFFIXES, list_files
from cellmm.messages import name_some


def find_nuclei(data_list: Sequence[dict], folder: Path, img_dir: Path) -> None:
    """Give each image its ``nuclei_path``: the file of the same name in ``folder``, with any image suffix.

    The nuclei of an image in a subfolder of ``img_dir`` are in the same subfolder of ``folder``, or in
    ``folder`` itself if no other image has that name.

    Raises:
        CellMMError: an image has no file, several files, or a file that could belong to another image.
    """
    paths = [info["img_path"] for info in data_list]
    paths = [Path(path if isinstance(path, str) else path[0]) for path in paths]
    files: dict[str, list[str]] = {}
    for file in list_files(folder) if folder.is_dir() else ():
        if (path := Path(file)).suffix.lower() in IMAGE_SUFFIXES:
            files.setdefault(path.with_suffix("").as_posix(), []).append(file)
    nested = [_below(path, img_dir) for path in paths]
    names = [name if name in files else Path(name).name for name in nested]
    if double := [name for name, count in Counter(names).items() if count > 1]:
        raise CellMMError(
            f"{img_dir}: several images are called {name_some(double)}; their nuclei in {folder} cannot be "
            "told apart, give each a name of its own, or put their nuclei into subfolders as the images are"
        )
    if missing := [name for name in names if name not in files]:
        raise CellMMError(
            f"{folder}: no nuclei for {name_some(missing)} of {len(names)} images; put <image name>.tif "
            "or .png there, all 0 where an image has none, or do without nuclei (no nuclei_dir, no "
            "nuclei=True, no LoadNuclei)"
        )
    if twice := [file for name in names if len(files[name]) > 1 for file in files[name]]:
        raise CellMMError(f"{folder}: several files for one image, {name_some(twice)}; keep one of each")
    for info, name in zip(data_list, names, strict=True):
        info["nuclei_path"] = str(folder / files[name][0])


def _below(path: Path, folder: Path) -> str:
    """The path without its suffix, relative to the folder where it lies below it; else its name."""
    path = path.with_suffix("")
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name
