"""What every format of tracks offers, and how the formats are found by name."""

from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

from cellmm.errors import CellMMError
from cellmm.registry import TRACK_WRITERS
from cellmm.tracking.tracks import Tracks


@runtime_checkable
class TrackWriter(Protocol):
    """A registered class that writes the tracks of one film in one format.

    The same tracks give the same bytes.

    Attributes:
        option: the name of the format in ``--save``.
    """

    option: ClassVar[str]

    def write(self, folder: Path, tracks: Tracks, name: str) -> list[str]:
        """Write into ``folder``, which exists.

        Args:
            name: of the film.

        Returns:
            What the format cannot hold, a line for each kind of loss with its count.

        Raises:
            CellMMError: the film is too large for the format, or a library is not installed.
        """
        ...


def build_track_writers(names: str) -> list[TrackWriter]:
    """The writers of ``'ctc,csv'``.

    Raises:
        CellMMError: a name that no registered writer has, or that is given twice.
    """
    TRACK_WRITERS.import_from_location()
    known = {cls.option: cls for cls in TRACK_WRITERS.module_dict.values()}
    chosen = [name.strip() for name in names.split(",")]
    for name in chosen:
        if name not in known:
            raise CellMMError(
                f"--save {name}: not a format of tracks; choose from {', '.join(sorted(known))}"
            )
        if chosen.count(name) > 1:
            raise CellMMError(f"--save {names}: {name} is given twice; name each format once")
    return [known[name]() for name in chosen]
