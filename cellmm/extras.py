"""Libraries that only some jobs need."""

import importlib
from types import ModuleType

from cellmm.errors import CellMMError


def need(module: str, extra: str, purpose: str) -> ModuleType:
    """Import ``module`` of the optional requirements ``extra``.

    Args:
        purpose: what it is needed for, such as 'OME-Zarr files'.

    Raises:
        CellMMError: it is not installed; with the command that installs it.

    Examples:
        >>> need("json", "zarr", "OME-Zarr files").__name__
        'json'
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != module.split(".")[0]:
            raise
        raise CellMMError(f"{purpose} need {module}: {command(extra)}") from error


def command(extra: str, *packages: str) -> str:
    """The command that installs the optional requirements ``extra``, and further packages.

    Examples:
        >>> command("bioio", "bioio-nd2")
        'in the folder of cellmm, pip install -e ".[bioio]" bioio-nd2'
    """
    return " ".join([f'in the folder of cellmm, pip install -e ".[{extra}]"', *packages])
