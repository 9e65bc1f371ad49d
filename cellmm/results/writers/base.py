"""What every format of results offers, and how the formats are found by name."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

import yaml

from cellmm.arguments import arguments_of
from cellmm.errors import CellMMError
from cellmm.io.sources import ImageSource
from cellmm.registry import WRITERS
from cellmm.results.instances import Instances


@runtime_checkable
class Writer(Protocol):
    """A registered class that writes the cells of one image in one format.

    Files are written whole or not at all, and the same cells give the same bytes.

    Attributes:
        option: the name of the format in ``--save``.
        folder: the folder of its files below that of the results.
        suffix: of its files, with the dot.
    """

    option: ClassVar[str]
    folder: ClassVar[str]
    suffix: ClassVar[str]

    def write(self, path: Path, instances: Instances, source: ImageSource | None) -> Counter[str]:
        """Write ``path``, which has the ``suffix``.

        Args:
            source: for formats that hold the image or measure its intensities; None: not known.

        Returns:
            What the format cannot hold: the kind of loss, such as 'cells without a pixel', and how many.

        Raises:
            CellMMError: the image is too large for the format, or a library is not installed.
            OSError: the file cannot be written.
        """
        ...


@runtime_checkable
class CollectingWriter(Writer, Protocol):
    """A writer that also makes one file of all images.

    Attributes:
        collection: the name of that file, in the folder of the results.
    """

    collection: ClassVar[str]

    def collect(self, path: Path, parts: Iterable[Path]) -> None:
        """Write ``path`` from the files that ``write`` made, in the order of ``parts``, one after another."""
        ...


def build_writers(names: str | Sequence[str]) -> list[Writer]:
    """The writers of ``'coco,rois'`` or ``['coco', 'rois']``; ``'ome-zarr:version=0.4'`` sets an argument.

    Raises:
        CellMMError: a name that no registered writer has, or that is given twice; a wrong argument.
    """
    names = names.split(",") if isinstance(names, str) else list(names)
    known = options()
    writers: dict[str, Writer] = {}
    for text in names:
        name, *arguments = text.strip().split(":")
        if name not in known:
            raise CellMMError(f"--save {name}: not a format of results; choose from {', '.join(known)}")
        if name in writers:
            raise CellMMError(f"--save {name}: given twice; name each format once")
        values: dict[str, Any] = {}
        for argument in arguments:
            key, _, value = argument.partition("=")
            taken = arguments_of(known[name]).by_name
            if key not in taken or not value:
                keys = ", ".join(f"{name}:{key}=..." for key in taken) or "no arguments"
                raise CellMMError(f"--save {text}: {argument!r} is not an argument; {name} takes {keys}")
            values[key] = yaml.safe_load(value)
        try:
            writers[name] = known[name](**values)
        except ValueError as error:
            raise CellMMError(f"--save {text}: {error}") from error
    return list(writers.values())


def options() -> dict[str, type]:
    """The registered writers by their ``option``, sorted."""
    WRITERS.import_from_location()
    return {cls.option: cls for cls in sorted(WRITERS.module_dict.values(), key=lambda cls: cls.option)}


def readable(name: str) -> str:
    """A name for XML and UTF-8: a character that these cannot hold becomes its escape.

    Examples:
        >>> readable("dish µ\\udcff\\x01.tif")
        'dish µ\\\\udcff\\\\x01.tif'
    """
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in name)


def tell_losses(option: str, losses: Counter[str]) -> str | None:
    """One line for the losses of a run, summed over its images; None if there are none.

    Examples:
        >>> tell_losses("rois", Counter({"cells without a pixel": 3}))
        'rois: left out 3 cells without a pixel'
    """
    some = [f"{number} {kind}" for kind, number in sorted(losses.items()) if number]
    return f"{option}: left out {', '.join(some)}" if some else None
