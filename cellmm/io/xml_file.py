"""Reading XML without its traps: a file that declares entities is refused, and nothing is fetched."""

from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree
from xml.parsers import expat

from cellmm.errors import CellMMError

HEAD = 2**16  # bytes of a quick look
DEEPEST = 100


def read_xml(path: Path, tag: str) -> ElementTree.Element:
    """The root of an XML file, an element ``tag``, with the text of its elements.

    Raises:
        CellMMError: it is unreadable, cut off, not XML or has another root; or it has a DOCTYPE, which may
            declare entities that grow without limit or read other files, or more than 100 elements within
            each other.
    """
    builder, depth = ElementTree.TreeBuilder(), 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > DEEPEST:
            raise CellMMError(f"{path} has more than {DEEPEST} elements within each other: export it again")
        builder.start(name, attributes)

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(name)

    try:
        _parser(path, start, end, builder.data).Parse(path.read_bytes(), True)
    except OSError as error:
        raise CellMMError(f"{path} cannot be read ({error.strerror}): get the right to read it") from error
    except (expat.ExpatError, LookupError, ValueError) as error:
        if isinstance(error, CellMMError):
            raise
        raise CellMMError(f"{path} is not whole XML ({error}): copy or export it again") from error
    root = builder.close()
    if root.tag != tag:
        raise CellMMError(f"{path} has the root <{root.tag[:40]}>, not <{tag}>: export it again")
    return root


def xml_tags(path: Path) -> list[str]:
    """The names of the first elements in order, the root first; empty where the file is not XML."""
    tags: list[str] = []
    try:
        with open(path, "rb") as file:
            _parser(path, lambda name, _: tags.append(name)).Parse(file.read(HEAD), False)
    except (OSError, LookupError, ValueError, expat.ExpatError):  # LookupError: an unknown encoding
        pass  # what was found before counts
    return tags


def _parser(
    path: Path,
    start: Callable[[str, dict[str, str]], object],
    end: Callable[[str], object] | None = None,
    data: Callable[[str], object] | None = None,
) -> expat.XMLParserType:
    def refuse(*_: object) -> None:
        raise CellMMError(f"{path} has a DOCTYPE, which is not read for safety: export it again without one")

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = data
    parser.StartDoctypeDeclHandler = refuse
    return parser
