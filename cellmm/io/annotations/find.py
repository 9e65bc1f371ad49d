"""Finding the reader of an annotation file."""

from pathlib import Path

from cellmm.io.annotations.base import AnnotationReader
from cellmm.registry import ANNOTATION_READERS


def annotation_readers() -> list[AnnotationReader]:
    """One of each registered reader; those that look for clearer signs come first."""
    return [ANNOTATION_READERS.build(dict(type=name)) for name in ANNOTATION_READERS.module_dict]


def find_reader(path: str | Path) -> AnnotationReader | None:
    """The reader whose format a file has, by its suffix and a quick look into it; None: no reader knows it.

    A file that is damaged further on is found, too: its reader says what is wrong.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "cells.json"
        ...     _ = path.write_text('{"type": "FeatureCollection", "features": []}')
        ...     find_reader(path).title
        'QuPath GeoJSON'
    """
    path = Path(path)
    readers = [reader for reader in annotation_readers() if path.suffix.lower() in reader.suffixes]
    if not readers or not path.is_file():
        return None
    return next((reader for reader in readers if reader.recognises(path)), None)
