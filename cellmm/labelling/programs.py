"""The programs that proposals are written for."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cellmm.errors import CellMMError
from cellmm.labelling import cvat, label_studio
from cellmm.labelling.per_image import write_fiji, write_qupath
from cellmm.labelling.proposals import Proposals
from cellmm.labelling.shapes import Shapes


@dataclass(frozen=True)
class Program:
    """A program in which a person corrects cells.

    Args:
        name: in ``--for``; also the folder of its files.
        write: makes them below a folder, and returns what they cannot hold, and how many.
        opens: the file or folder that is opened in the program.
        pictures: it shows only pictures of 8 bits.
    """

    name: str
    write: Callable[[Path, Proposals, Shapes], Counter[str]]
    opens: str
    pictures: bool


PROGRAMS = {
    program.name: program
    for program in (
        Program(label_studio.FOLDER, label_studio.write_label_studio, "label-studio/tasks.json", True),
        Program(cvat.FOLDER, cvat.write_cvat, "cvat/annotations.xml", True),
        Program("fiji", write_fiji, "fiji", False),
        Program("qupath", write_qupath, "qupath", False),
    )
}


def programs_of(names: str) -> list[Program]:
    """The programs of ``'label-studio,fiji'``.

    Raises:
        CellMMError: there is no such program, or it is named twice.
    """
    wanted = [name.strip() for name in names.split(",")]
    for i, name in enumerate(wanted):
        if name not in PROGRAMS:
            raise CellMMError(f"--for {name}: no such program; choose from {', '.join(PROGRAMS)}")
        if name in wanted[:i]:
            raise CellMMError(f"--for {name}: given twice; name each program once")
    return [PROGRAMS[name] for name in wanted]
