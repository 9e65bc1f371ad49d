"""Images that somebody labelled already."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cellmm.datasets.folders import look_at


@dataclass(frozen=True)
class LabelledImages:
    """The images of folders of annotated images.

    Args:
        paths: of their files, resolved.
        copies: (name, size in bytes) of their files.
        names: of the images, without folders and suffix.
    """

    paths: frozenset[Path]
    copies: frozenset[tuple[str, int]]
    names: frozenset[str]

    @classmethod
    def of(cls, folders: Iterable[Path]) -> "LabelledImages":
        """Those that ``look_at`` finds with an annotation.

        Raises:
            CellMMError: see ``look_at``.
        """
        found = [image for folder in folders for image in look_at(folder).images]
        paths = []
        for image in found:
            if isinstance(image.image, tuple):
                paths += image.image
            elif not image.is_frame:
                paths.append(image.image)
        copies = {(path.name, path.stat().st_size) for path in paths}
        names = {Path(image.name).name for image in found}
        return cls(frozenset(path.resolve() for path in paths), frozenset(copies), frozenset(names))

    def hold(self, path: Path) -> bool:
        """Whether this file, or a copy of it with the same name and size, is labelled."""
        return path.resolve() in self.paths or (path.name, path.stat().st_size) in self.copies

    def hold_frame(self, stem: str) -> bool:
        """Whether a frame of this name, such as film_t0003, is labelled as an image of its own."""
        return Path(stem).name in self.names
