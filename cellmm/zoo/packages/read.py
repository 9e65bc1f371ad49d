"""Open a package as data: nothing in it is executed, unpickled or written to disk.

``run`` refuses a config with parts that are not registered.
"""

import hashlib
import json
import zipfile
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from cellmm.errors import CellMMError
from cellmm.zoo.packages.format import DESCRIPTION, FORMAT, KINDS

MOST_BYTES = 2**32  # of one file in it, unpacked
AGAIN = "export it again, or get another copy"
# the form of the description; None: there may be none
FORM = dict(
    format=int,
    cellmm=str,
    kind=str,
    name=str,
    model=dict,
    pipeline=list,
    classes=list,
    category_ids=list,
    trained_on=(dict, type(None)),
    footprint=dict,
    graphs=dict,
    sha256=dict,
)


@dataclass(frozen=True)
class Package:
    """An exported model.

    Args:
        path: of the zip file.
        content: its description, of the form ``FORM``.
    """

    path: Path
    content: dict[str, Any]

    @cached_property
    def kind(self) -> str:
        """One of ``KINDS``."""
        return self.content["kind"]

    def file(self, name: str) -> bytes:
        """The content of a file in it.

        Raises:
            CellMMError: it is absent, damaged or another one than was exported.
        """
        with _opened(self.path) as archive:
            content = _read(archive, name, self.path)
        if hashlib.sha256(content).hexdigest() != self.content["sha256"].get(name):
            raise CellMMError(f"{self.path}: {name} in it is not the one that was exported; {AGAIN}")
        return content


def is_package(path: str | Path) -> bool:
    """Whether a user who names this file means a package."""
    return Path(path).suffix.lower() == ".zip"


def read_package(path: str | Path) -> Package:
    """The package in a zip file.

    Raises:
        CellMMError: it is absent, cut off, not from cellmm, from a newer version, or not safe to unpack.
    """
    path = Path(path)
    with _opened(path) as archive:
        names = archive.namelist()
        for name in names:
            _refuse_leaving(name, path)
        if DESCRIPTION not in names:
            other = "a bioimage.io package" if "rdf.yaml" in names else "not a package"
            raise CellMMError(
                f"{path}: {other} of another program, {DESCRIPTION} is not in it; make one by `cellmm export`"
            )
        text = _read(archive, DESCRIPTION, path)
    try:
        content = json.loads(text)
    except ValueError as error:
        raise CellMMError(f"{path}: {DESCRIPTION} in it is damaged; {AGAIN}") from error
    _check(content, path)
    return Package(path, content)


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except FileNotFoundError as error:
        raise CellMMError(f"{path}: no such file") from error
    except zipfile.BadZipFile as error:
        raise CellMMError(f"{path}: an incomplete or damaged zip file; {AGAIN}") from error


def _read(archive: zipfile.ZipFile, name: str, path: Path) -> bytes:
    try:
        if archive.getinfo(name).file_size > MOST_BYTES:
            raise CellMMError(
                f"{path}: {name} in it is larger than 4 GiB, which no exported model is; {AGAIN}"
            )
        return archive.read(name)
    except KeyError as error:
        raise CellMMError(f"{path}: {name} is missing in it; {AGAIN}") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise CellMMError(f"{path}: {name} in it is damaged; {AGAIN}") from error


def _refuse_leaving(name: str, path: Path) -> None:
    """Refuse a file that programs would unpack into another folder."""
    plain = PurePosixPath(name.replace("\\", "/"))
    if plain.is_absolute() or ".." in plain.parts or ":" in name:
        raise CellMMError(
            f"{path}: {name!r} in it would be unpacked into another folder; do not use this file"
        )


def _check(content: Any, path: Path) -> None:
    if not isinstance(content, dict) or type(content.get("format")) is not int:
        raise CellMMError(f"{path}: {DESCRIPTION} in it is damaged; {AGAIN}")
    if content["format"] > FORMAT:
        raise CellMMError(
            f"{path}: written by cellmm {content.get('cellmm')}, which is newer than this one; update cellmm"
        )
    for key, types in FORM.items():
        if key not in content or not isinstance(content[key], types):
            raise CellMMError(f"{path}: {key} in {DESCRIPTION} is missing or of the wrong type; {AGAIN}")
    if content["kind"] not in KINDS:
        raise CellMMError(f"{path}: a package of kind {content['kind']!r}; cellmm knows {', '.join(KINDS)}")
    for name, graph in content["graphs"].items():
        fields = [
            graph.get(key) if isinstance(graph, dict) else None for key in ("file", "inputs", "outputs")
        ]
        if not isinstance(fields[0], str) or not all(isinstance(field, list) for field in fields[1:]):
            raise CellMMError(f"{path}: the graph {name!r} in {DESCRIPTION} is incomplete; {AGAIN}")
