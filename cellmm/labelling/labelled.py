"""Images that somebody labelled already."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cellmm.datasets.folders import AnnotatedImage, look_at
from cellmm.io.sources import ImageSource, open_images


@dataclass(frozen=True)
class LabelledImages:
    """The images of folders of annotated images.

    Args:
        files: by (name, size in bytes).
        images: by the last part of their names, which have no suffix.
    """

    files: dict[tuple[str, int], list[Path]]
    images: dict[str, list[AnnotatedImage]]
    _digests: dict[Path, bytes] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def of(cls, folders: Iterable[Path]) -> "LabelledImages":
        """Those that ``look_at`` finds with an annotation.

        Raises:
            CellMMError: see ``look_at``.
        """
        files, images = defaultdict(list), defaultdict(list)
        for image in (image for folder in folders for image in look_at(folder).images):
            images[Path(image.name).name].append(image)
            if not image.is_frame:
                for path in image.image if isinstance(image.image, tuple) else (image.image,):
                    files[path.name, path.stat().st_size].append(path.resolve())
        return cls(dict(files), dict(images))

    def hold(self, path: Path) -> bool:
        """Whether this file, or one with the same name and content, is labelled."""
        alike = self.files.get((path.name, path.stat().st_size), ())
        if path.resolve() in alike:
            return True
        if not alike or not path.is_file():  # an OME-Zarr is a folder
            return False
        digest = _digest(path)
        return any(other.is_file() and self._digest(other) == digest for other in alike)

    def hold_frame(self, frame: ImageSource, stem: str) -> bool:
        """Whether a frame with these pixels, and a name such as film_t0003, is labelled.

        Raises:
            CellMMError: an image that cannot be read.
        """
        alike = self.images.get(Path(stem).name, ())
        return any(np.array_equal(_read(image), frame.read_all()) for image in alike)

    def _digest(self, path: Path) -> bytes:
        """That of a labelled file, which is read once."""
        if path not in self._digests:
            self._digests[path] = _digest(path)
        return self._digests[path]


def _digest(path: Path) -> bytes:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _read(image: AnnotatedImage) -> np.ndarray:
    """Its pixels, (H, W, C)."""
    return (image.image if image.is_frame else open_images(image.image)[0]).read_all()
