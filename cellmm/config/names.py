"""Configs by name: those that come with cellmm, in a clone or installed."""

import difflib
from pathlib import Path

import cellmm
from cellmm.errors import CellMMError

PREFIX = "cellmm::"  # in ``_base_`` of a config anywhere


def configs_folder() -> Path:
    """The folder of cellmm's own configs: in the package where it is installed, beside it in a clone."""
    package = Path(cellmm.__file__).parent
    installed = package / "configs"
    return installed if installed.is_dir() else package.parent / "configs"


def find_config(name: str | Path) -> Path:
    """A config file by its path, or by its name among cellmm's own, as in ``diskmask/nuclei``.

    An existing file is taken first; ``cellmm::`` before the name, as in ``_base_``, asks for cellmm's own.

    Raises:
        CellMMError: there is no such config; the message names those of similar names.
    """
    text, folder = str(name), configs_folder()
    if not text.startswith(PREFIX) and Path(text).is_file():
        return Path(text)
    path = folder / text.removeprefix(PREFIX).removeprefix("configs/")
    path = path if path.suffix == ".py" else path.with_name(f"{path.name}.py")
    if path.is_file() and path.resolve().is_relative_to(folder.resolve()):
        return path
    known = config_names()
    wanted = text.removeprefix(PREFIX).removesuffix(".py")
    near = sorted(own for own in known if own.rpartition("/")[2] == wanted.rpartition("/")[2])
    near = near or difflib.get_close_matches(wanted, known, 3, 0.6)
    hint = f"did you mean {' or '.join(near)}?" if near else "`cellmm config --list` names those of cellmm"
    raise CellMMError(f"{text}: no such config file; {hint}")


def config_names() -> list[str]:
    """The names of cellmm's own configs, in order, without the parts in ``_base_``."""
    folder = configs_folder()
    paths = (path.relative_to(folder) for path in folder.glob("*/*.py") if path.parent.name != "_base_")
    return sorted(path.with_suffix("").as_posix() for path in paths)
