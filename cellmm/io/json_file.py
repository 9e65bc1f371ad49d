"""Reading json, or a quick look at which keys it has."""

import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from cellmm.errors import CellMMError

HEAD = 2**18  # bytes of a quick look
DEPTH = 5
_TOKEN = re.compile(r'("(?:[^"\\]|\\.)*")\s*(:?)|[][{}]', re.DOTALL)


def read_json(path: Path) -> Any:
    """What a json file holds.

    Raises:
        CellMMError: it is absent, unreadable, empty, cut off, or not json.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        content = json.loads(text or "null")
    except OSError as error:
        raise CellMMError(f"{path} cannot be read ({error.strerror}): get the right to read it") from error
    except UnicodeDecodeError as error:
        raise CellMMError(f"{path} is not UTF-8 text ({error.reason}): save it as UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise CellMMError(f"{path} is not valid json ({error}): copy or export it again") from error
    if not text:
        raise CellMMError(f"{path} is empty (0 bytes): copy or export it again")
    return content


def json_keys(path: Path) -> tuple[str, list[set[str]]]:
    """The first bracket of a file, '{' or '[', and the keys of dicts by depth, from its first 256 KiB.

    The keys of a dict at the top have depth 0, those of the dicts in a list at the top depth 1. A file that
    is cut off has the keys that are left; one that cannot be read, or does not begin as json, gives ''.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "a.json"
        ...     _ = path.write_text('{"images": [{"id": 1}], "info"')
        ...     top, keys = json_keys(path)
        >>> top, keys[0], keys[2]
        ('{', {'images'}, {'id'})
    """
    try:
        with open(path, "rb") as file:
            head = file.read(HEAD)
    except OSError:
        return "", [set() for _ in range(DEPTH)]
    top, keys = _keys(head)
    return top, [set(some) for some in keys]


@lru_cache(maxsize=2)  # each reader of annotations asks for those of the same file
def _keys(head: bytes) -> tuple[str, tuple[frozenset[str], ...]]:
    text = head.decode("utf-8-sig", "ignore")
    keys: list[set[str]] = [set() for _ in range(DEPTH)]
    top, depth = text.lstrip()[:1], -1
    if top not in ("{", "["):
        return "", tuple(map(frozenset, keys))
    for match in _TOKEN.finditer(text):
        token = match[0][0]
        if token in "{[":
            depth += 1
        elif token in "]}":
            depth -= 1
        elif match[2] and 0 <= depth < DEPTH:
            keys[depth].add(match[1][1:-1])
    return top, tuple(map(frozenset, keys))
