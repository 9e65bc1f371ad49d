"""The contract of formats of annotations, tested: cellmm/io/annotations/base.py."""

import tempfile
from pathlib import Path

from cellmm.errors import CellMMError
from cellmm.io.annotations import AnnotatedCell, AnnotationReader, ImageAnnotation, to_rle
from cellmm.registry import ANNOTATION_READERS
from cellmm.structures import rle
from cellmm.testing.rules import build, must_work, require

FOREIGN = (b"", b"\n", b"{}", b"[]", b"<a/>", b"hello, world\n", bytes(range(256)))
SHAPE = (64, 64)


def check_annotation_reader(config: dict, file: Path | None = None) -> None:
    """Test that a format of annotations follows ``AnnotationReader``, also on files of other formats.

    Args:
        file: a file of the format, which has to be recognised and read.

    Raises:
        CellMMError: one line that names the reader and the rule.
    """
    name, reader = build(ANNOTATION_READERS, config)
    require(isinstance(reader, AnnotationReader), name, "it must have title, suffixes, recognises and read")
    for suffix in reader.suffixes:
        good = suffix.startswith(".") and suffix == suffix.lower()
        require(good, name, f"suffix {suffix!r} must start with a dot, in lower case")
        _check_foreign(name, reader, suffix)
    if file is not None:
        require(file.suffix.lower() in reader.suffixes, name, f"{file.suffix} must be one of its suffixes")
        require(reader.recognises(file) is True, name, "recognises must be true for a file of the format")
        with must_work(name, "reading a file"):
            images = reader.read(file)
        ours = isinstance(images, list) and all(isinstance(image, ImageAnnotation) for image in images)
        require(ours, name, "read must return a list of ImageAnnotation")
        for cell in (cell for image in images for cell in image.cells):
            require(isinstance(cell, AnnotatedCell), name, "cells must be AnnotatedCell")
            with must_work(name, "making the mask of a cell"):
                rle.validate([to_rle(cell, SHAPE)], SHAPE)


def _check_foreign(name: str, reader: AnnotationReader, suffix: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for number, content in enumerate(FOREIGN):
            path = Path(folder) / f"{number}{suffix}"
            path.write_bytes(content)
            what = f"a file {suffix} of {content[:12]!r}"
            with must_work(name, f"looking at {what}"):
                require(reader.recognises(path) is False, name, f"recognises must be false for {what}")
            try:
                with must_work(name, f"reading {what}"):
                    reader.read(path)
            except CellMMError as error:
                if type(error) is not CellMMError:
                    raise
                line = "\n" not in str(error) and str(path) in str(error)
                require(line, name, f"the error of {what} must be one line that names the file")
                continue
            require(False, name, f"{what} must be refused with a CellMMError")
