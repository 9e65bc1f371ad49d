"""Packages that add models, losses, datasets and the like to cellmm without a change of cellmm."""

from functools import cache
from importlib.metadata import entry_points

from cellmm.errors import CellMMError
from cellmm.registry import ALL

GROUP = "cellmm.plugins"


@cache
def load_plugins() -> None:
    """Import the module of every installed entry point of the group ``cellmm.plugins``, once per process.

    Importing it is what registers its classes. The entry points are those of installed packages; they are
    code and run as such.

    Raises:
        CellMMError: one cannot be imported; the line names the package, the entry point and the cause.
    """
    plugins = entry_points(group=GROUP)
    if plugins:  # cellmm's own classes first, so that a taken name is the plug-in's error
        for registry in ALL.values():
            registry.import_from_location()
    for plugin in plugins:
        try:
            plugin.load()
        except (Exception, SystemExit) as error:  # foreign code can fail in any way
            package = plugin.dist.name if plugin.dist else "?"
            cause = " ".join(str(error).split())
            raise CellMMError(
                f"plug-in {plugin.name} = {plugin.value!r} of the package {package}: "
                f"{type(error).__name__}: {cause}; mend it, or: pip uninstall {package}"
            ) from error
