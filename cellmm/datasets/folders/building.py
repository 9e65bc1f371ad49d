"""From pairs of files to annotated images."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from cellmm.datasets.folders import names
from cellmm.datasets.folders.contents import AnnotatedImage
from cellmm.datasets.folders.files import FolderFiles
from cellmm.datasets.folders.groups import groups_of
from cellmm.datasets.folders.pairing import Pairing, Unit
from cellmm.datasets.folders.reading import frames_of, instances_of, label_layout, pages_of
from cellmm.errors import CellMMError
from cellmm.io.annotations import AnnotatedCell, LabelImageReader
from cellmm.io.images import read_mask
from cellmm.io.sources import ImageSource
from cellmm.messages import name_some


class Builder:
    """
    Attributes:
        notes: what looks wrong or was left out, a line each.
    """

    def __init__(self, files: FolderFiles, pairing: Pairing) -> None:
        self.files, self.pairing, self.root = files, pairing, files.root
        self.notes: list[str] = []
        self._other_size: list[str] = []

    def images(self) -> list[AnnotatedImage]:
        """The annotated images, sorted by name."""
        paths = sorted(self.pairing.matches)
        short = [str(PurePosixPath(path).with_name(names.stem(path))) for path in paths]
        count = Counter(name.casefold() for name in short)
        own = [name if count[name.casefold()] == 1 else path for name, path in zip(short, paths, strict=True)]
        found = []
        for path, name, group in zip(paths, own, groups_of(own), strict=True):
            (units,) = self.pairing.matches[path]
            found += self._of_file(path, name, group, units)
        if self._other_size:
            self.notes.append(
                f"annotations of another size than their image, {name_some(self._other_size)}: one of them "
                "was cropped, resized or turned, export it again"
            )
        self._note_crowds(found)
        return found

    def _of_file(self, path: str, name: str, group: str, units: Sequence[Unit]) -> list[AnnotatedImage]:
        image = self.root / path
        sources = frames_of(image)
        annotation = tuple(self.root / file for file in dict.fromkeys(unit.file for unit in units))
        planes = self.pairing.planes.get(path, (path,))
        files = image if len(planes) == 1 else tuple(self.root / plane for plane in planes)
        shape = sources[0].shape

        def single(**fields: object) -> list[AnnotatedImage]:
            if len(sources) > 1:
                raise CellMMError(
                    f"{image} is a film of {len(sources)} frames, and {units[0].file} does not say which "
                    "cell is in which frame: save a label stack of as many pages, or ROIs with their "
                    "positions"
                )
            return [AnnotatedImage(name, files, annotation, group, shape, **fields)]

        if units[0].instances is not None:
            self._compare(units[0].file, units[0].shape, shape)
            return single(instances=units[0].instances, stated_shape=units[0].shape)
        if units[0].found is None:
            return self._of_labels(image, name, group, annotation, sources, single)
        stated = units[0].shape or shape
        self._compare(units[0].file, stated, shape)
        cells = [cell for unit in units for cell in unit.found.cells]
        if (
            any(cell.time for cell in cells)
            or len(sources) > 1
            and all(cell.time is not None for cell in cells)
        ):
            return self._frames(image, name, group, annotation, sources, cells)
        return single(instances=instances_of(cells, stated), stated_shape=stated)

    def _of_labels(self, image, name, group, annotation, sources, single) -> list[AnnotatedImage]:
        shape = sources[0].shape
        # image.tif with class1.tif; class_1.tif with a label image of that name has no classes
        several = len(annotation) > 1 or names.stem(PurePosixPath(image.name).name) == "image"
        if several and all(names.CLASS.fullmatch(names.stem(file.name)) for file in annotation):
            cells = []
            for file in annotation:
                self._compare(str(file), label_layout(file)[1][-2:], shape)
                found = instances_of(LabelImageReader().read(file)[0].cells, label_layout(file)[1][-2:])
                cells += [cell | {"label": names.stem(file.name)} for cell in found]
            return single(instances=cells, stated_shape=label_layout(annotation[0])[1][-2:])
        if len(annotation) > 1:
            read_mask(annotation[0])
            return single(one_mask_per_file=True)
        axes, size = label_layout(annotation[0])
        self._compare(str(annotation[0]), size[-2:], shape)
        if len(axes) == 3:
            (found,) = LabelImageReader().read(annotation[0])
            if any(cell.time is not None for cell in found.cells) or len(sources) > 1:
                cells = found.cells
                return self._frames(image, name, group, annotation, sources, cells, size[0])
        return single()

    def _frames(
        self,
        image: Path,
        name: str,
        group: str,
        annotation: tuple[Path, ...],
        sources: Sequence[ImageSource],
        cells: Sequence[AnnotatedCell],
        pages: int | None = None,
    ) -> list[AnnotatedImage]:
        if lost := sum(cell.time is None for cell in cells):
            raise CellMMError(
                f"{annotation[0]}: {lost} of {len(cells)} cells belong to no frame of {image}: give each its "
                "frame (in Fiji by Properties of the ROI manager, in a label stack by the axes TYX), or "
                "remove these"
            )
        last = max((cell.time or 0 for cell in cells), default=0)
        pages = pages or max(last + 1, len(sources))
        if len(sources) == 1 and pages > 1:
            sources = pages_of(image, pages) or sources
        if len(sources) != pages:
            raise CellMMError(
                f"{annotation[0]} has {pages} time points, but its image {image} {len(sources)}: save both "
                "with the same number of pages"
            )
        if getattr(sources[0], "z", None) == "max":
            self.notes.append(
                f"{image}: each frame is the maximum of its focal planes; to learn from a plane, "
                "save only that"
            )
        of_frame = [[cell for cell in cells if cell.time == number] for number in range(pages)]
        if empty := [number for number, some in enumerate(of_frame) if not some]:
            self.notes.append(
                f"{image}: frames without a cell are left out, numbers from 0, {name_some(empty)}"
            )
        return [
            AnnotatedImage(
                f"{name}_t{number:04d}",
                source,
                annotation,
                name,
                source.shape,
                instances=instances_of(some, source.shape),
                stated_shape=source.shape,
            )
            for number, (source, some) in enumerate(zip(sources, of_frame, strict=True))
            if some
        ]

    def _compare(self, file: str, stated: Sequence[int] | None, shape: tuple[int, int]) -> None:
        if stated is not None and tuple(stated) != tuple(shape):
            self._other_size.append(f"{file} {tuple(stated)} instead of {tuple(shape)}")

    def _note_crowds(self, images: Sequence[AnnotatedImage]) -> None:
        cells = [cell for image in images for cell in image.instances or ()]
        if cells and all(cell["iscrowd"] for cell in cells):
            self.notes.append(
                f"all {len(cells)} cells are iscrowd, which are not learned: set iscrowd to 0 where a mask "
                "is one cell"
            )
