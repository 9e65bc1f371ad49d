"""What decoders complain of: some return half an image with just a line in a log or on stderr."""

import logging
import os
import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tifffile
from mmengine.logging import print_log

from cellmm.errors import CellMMError

AGAIN = "copy or export it again"
_DAMAGE = re.compile(r"offset|\[ERROR|libpng error|Premature end")
_ORIGIN = re.compile(r"^\[ERROR\S* global \S+ \S+ |^<tifffile[^>]*> ")
_DOUBT = re.compile(r"Corrupt")
_DECODER = re.compile(r"\s*$|libpng (warning|error): |Corrupt JPEG|Premature end|\[[ A-Z]+:\d")
_STDERR = threading.Lock()
if hasattr(os, "register_at_fork"):  # a child that begins while it is held would wait for it forever
    os.register_at_fork(
        before=_STDERR.acquire, after_in_parent=_STDERR.release, after_in_child=_STDERR.release
    )


@contextmanager
def tiff_complaints(path: Path) -> Iterator[None]:
    """Raise CellMMError where tifffile logs in this block, and this thread, that the file is damaged."""
    texts: list[str] = []
    thread = threading.get_ident()
    handler = logging.Handler()
    handler.addFilter(lambda record: record.thread == thread)
    handler.emit = lambda record: texts.append(record.getMessage())  # type: ignore[method-assign]
    logger = tifffile.logger()
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
    _check(path, texts)


@contextmanager
def stderr_complaints(path: Path) -> Iterator[None]:
    """Raise CellMMError where a library in C writes to stderr in this block that the file is damaged.

    What other threads write in the meantime is written again afterwards.
    """
    with _STDERR, tempfile.TemporaryFile() as file:
        try:
            stderr = os.dup(2)
            os.dup2(file.fileno(), 2)
        except OSError:  # a program with windows has none
            stderr = None
        try:
            yield
        finally:
            if stderr is not None:
                os.dup2(stderr, 2)
                os.close(stderr)
        file.seek(0)
        texts = file.read().decode(errors="replace").splitlines(keepends=True)
    own = [text.strip() for text in texts if _DECODER.match(text)]
    if stderr is not None and (others := "".join(text for text in texts if not _DECODER.match(text))):
        os.write(2, others.encode())
    _check(path, own)


def _check(path: Path, texts: list[str]) -> None:
    for text in texts:
        if _DAMAGE.search(text):
            raise CellMMError(f"{path} is damaged ({_ORIGIN.sub('', text)[:200]}): {AGAIN}")
        if _DOUBT.search(text):
            print_log(
                f"{path}: {text}; look at the image, and {AGAIN} if a part of it is wrong",
                logger="current",
                level=logging.WARNING,
            )
