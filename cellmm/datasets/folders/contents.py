"""What was found in a folder of annotated images."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cellmm.io.sources import ImageSource
from cellmm.messages import name_some


@dataclass(frozen=True)
class AnnotatedImage:
    """An image and the files that hold its cells.

    Args:
        name: unique in the folder: the relative path without suffix, with ``_t0003`` for a frame of a film.
        image: the file, the files whose channels are joined, or the source of a frame.
        annotation: the files that hold its cells.
        group: images of one acquisition share it; splits keep groups together.
        shape: (H, W) in pixels, of the image file.
        instances: the cells, dicts as in CellDataset whose ``label`` is the name of a class or None; None: a
            label image, or a mask per file, which the pipeline reads.
        one_mask_per_file: whether each file of ``annotation`` is the mask of one cell.
        stated_shape: (H, W) that the annotation states, for ``instances``.
    """

    name: str
    image: Path | tuple[Path, ...] | ImageSource
    annotation: tuple[Path, ...]
    group: str
    shape: tuple[int, int]
    instances: Sequence[dict] | None = field(default=None, repr=False, compare=False)
    one_mask_per_file: bool = False
    stated_shape: tuple[int, int] | None = None

    @property
    def is_frame(self) -> bool:
        """Whether it is a frame of a film."""
        return not isinstance(self.image, Path | tuple)

    def info(self) -> dict:
        """The image as CellDataset describes it, without ``img_id``; labels are the names of classes."""
        if self.is_frame:
            # the file, from which pictures of the frame are drawn too
            info: dict = {"img_path": str(self.image.path), "img_source": self.image}
        else:
            several = isinstance(self.image, tuple)
            info = {"img_path": [str(path) for path in self.image] if several else str(self.image)}
        if self.instances is not None:
            height, width = self.stated_shape or self.shape
            info |= {"instances": list(self.instances), "segmentations_checked": True}
            info |= {"height": height, "width": width}
        elif self.one_mask_per_file:
            info["mask_paths"] = [str(path) for path in self.annotation]
        else:
            info["label_path"] = str(self.annotation[0])
        return info


@dataclass(frozen=True)
class FolderContents:
    """The annotated images of a folder.

    Args:
        folder: that was looked at.
        layout: in words; ``layout_of(layout)`` is what ``look_at`` takes to choose it.
        images: sorted by name.
        unpaired_images: without an annotation.
        unpaired_annotations: without an image.
        classes: names, label 0 first.
        notes: what looks wrong or was left out, a line each.
        fault: why the labels cannot be cells, such as a mask of all cells; a dataset refuses them.
        all_labels_seen: whether all labels were looked at for this.
    """

    folder: Path
    layout: str
    images: tuple[AnnotatedImage, ...]
    unpaired_images: tuple[Path, ...] = ()
    unpaired_annotations: tuple[Path, ...] = ()
    classes: tuple[str, ...] = ("cell",)
    notes: tuple[str, ...] = ()
    fault: str | None = None
    all_labels_seen: bool = True

    def describe(self) -> str:
        """What was found, in a few lines."""
        groups = len({image.group for image in self.images})
        lines = [f"{self.folder}: {self.layout}"]
        lines += [
            f"{len(self.images)} annotated images in {groups} groups; classes {name_some(self.classes)}"
        ]
        lines += self.unpaired()
        return "\n".join([*lines, *self.notes, *([self.fault] if self.fault else [])])

    def unpaired(self) -> list[str]:
        """The files that have no partner, a line for images and a line for annotations."""
        return [
            f"{what}: {name_some(relative(path, self.folder) for path in paths)}"
            for what, paths in (
                ("images without an annotation, not used", self.unpaired_images),
                ("annotations without an image, not used", self.unpaired_annotations),
            )
            if paths
        ]


def layout_of(words: str) -> str:
    """The name of a layout, of its words or its name.

    Examples:
        >>> layout_of("COCO json, a file for all images")
        'COCO json'
    """
    return words.partition(", ")[0]


def relative(path: Path, folder: Path) -> str:
    """The path below ``folder``, with / between folders."""
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)
