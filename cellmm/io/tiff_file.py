"""TIFFs of any kind that tifffile reads: the image asked for, whole or in part, as its tags mean it."""

import copy
import math
import threading
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import tifffile

from cellmm.errors import CellMMError
from cellmm.io.complaints import AGAIN, tiff_complaints
from cellmm.io.file_layout import FileLayout, upright
from cellmm.io.memory import check_size
from cellmm.io.tiff_check import check_description, check_meaning, check_pages
from cellmm.io.tiff_images import TiffImage, absent_files, find_images
from cellmm.io.tiff_metadata import channel_names, pixel_size
from cellmm.io.tiff_pages import Region, SegmentCache, check_alike, check_end, native, read_page

_LUMA = np.array([0.299, 0.587, 0.114])


class TiffFile:
    """An open TIFF and the image of it that was asked for.

    ``stored``: the numbers as stored, for label images; else white is zero is inverted, and a palette of
    colours is replaced by them. A palette whose brightness rises with the number, or of ImageJ, is a look-up
    table for the screen: the numbers are the image.
    """

    kind = "TIFF"

    def __init__(self, path: Path, *, level: int, position: int | None, stored: bool) -> None:
        self.path, self._stored, self._asked_level = path, stored, level
        self._cache = SegmentCache()
        self._beside = threading.Lock()  # other files of a set, which are opened and closed for each read
        self._turned: tuple[dict, np.ndarray] | None = None
        check_pages(path)
        with tiff_complaints(path):
            self._tiff = tifffile.TiffFile(path)
            try:
                self._open()
                self._choose(position)
            except BaseException:
                self._tiff.close()
                raise

    def at(self, position: int) -> "TiffFile":
        """Another field of view of the same open file, which is closed with this one."""
        other = copy.copy(self)
        other._turned = None
        with tiff_complaints(self.path):
            other._choose(position)
        return other

    def _open(self) -> None:
        path, tiff = self.path, self._tiff
        if not tiff.pages:
            raise CellMMError(f"{path} is damaged: it has no readable page: {AGAIN}")
        check_description(path, tiff.pages.first.description)
        tiff.filehandle.set_lock(True)
        self._images = find_images(path, tiff)

    def _choose(self, position: int | None) -> None:
        path, tiff, level, images = self.path, self._tiff, self._asked_level, self._images
        finest = images[0].levels[0]
        in_axis = len(images) == 1 and "R" in finest.axes  # positions of Micro-Manager
        count = finest.shape[finest.axes.index("R")] if in_axis else len(images)
        self._positions = ("",) * count if in_axis else tuple(image.name for image in images)
        self._position = _choose_position(path, images, count, position)
        self._numbers = {"R": self._position} if in_axis else {}
        self._image = images[0 if in_axis else self._position]
        if not 0 <= level < len(self._image.levels):
            raise CellMMError(f"level is {level}, but {path} has {len(self._image.levels)}, counted from 0")
        self._level = self._image.levels[level]
        key = self._key = self._level.key
        check_meaning(path, key)
        if key.parent is tiff:  # said before tifffile's complaint about a directory after that end
            check_end(path, key, tiff.filehandle.size)
        tag = key.tags.get("Orientation")
        self._orientation = int(tag.value) if tag is not None and 1 <= int(tag.value) <= 8 else 1
        self._palette = None if self._stored else _colors(tiff, key)
        self.alpha = len(key.extrasamples) == 1 and int(key.extrasamples[0]) in (1, 2)
        self._names = self._letters()
        self.white_is_zero = _is_white_zero(tiff, key, self._stored)
        self.dtype = np.dtype(np.uint8 if self._palette is not None else key.dtype)
        self.axes, self.shape = _squeezed(self._names, self._level.shape, self._numbers)
        if self._orientation >= 5:
            y, x = self.axes.index("Y"), self.axes.index("X")
            shape = list(self.shape)
            shape[y], shape[x] = shape[x], shape[y]
            self.shape = tuple(shape)
        if self._palette is not None:
            self.axes, self.shape = self.axes + "S", (*self.shape, 3)

    def _letters(self) -> str:
        """Letters of the level's axes: samples that are no colour are channels, a plain stack has pages."""
        axes, key = self._level.axes, self._key
        large = {name for name, size in zip(axes, self._level.shape, strict=True) if size > 1}
        if key.photometric not in (2, 6) and not self.alpha and "C" not in large:
            axes = axes.replace("C", "Q").replace("S", "C")
        text = self._tiff.pages.first.imagej_description
        if text and "hyperstack=true" not in text and large - set("YXS") == {"Z"}:
            axes = axes.replace("Z", "I")  # ImageJ's default for pages of any kind
        return axes

    def read(self, region: Region | None = None, **numbers: int) -> np.ndarray:
        """The pixels as ``axes`` says, without the axes in ``numbers``, cut to the ``region``.

        Only the pages, tiles or strips that this takes are read and decoded.
        """
        if region is not None and self._orientation != 1:
            return self._read_turned(region, numbers)
        numbers = {**numbers, **self._numbers}
        sample = numbers.pop("S", None)  # of the colours, which are made from the numbers below
        index = [numbers.get(name, slice(None)) for name in self._names]
        if region is not None:
            index[self._names.index("Y")] = slice(region[0], region[2])
            index[self._names.index("X")] = slice(region[1], region[3])
        left = [
            (name, len(range(size)[part]))
            for name, size, part in zip(self._names, self._level.shape, index, strict=True)
            if isinstance(part, slice)
        ]
        left = [(name, size) for name, size in left if size > 1 or name in "YX"]
        axes, shape = "".join(name for name, _ in left), [size for _, size in left]
        check_size(self.path, shape)
        with tiff_complaints(self.path):
            image = self._pixels(index, region).reshape(shape)
        image = self._as_meant(image, axes)
        if self._orientation != 1:
            image = upright(image, axes, self._orientation)
        return image if sample is None else np.take(image, sample, axis=self._sample_axis(axes))

    def _read_turned(self, region: Region, numbers: dict) -> np.ndarray:
        """A region of an image that is not stored upright, which is read as a whole, once."""
        turned = self._turned  # another thread may replace it
        if turned is None or turned[0] != numbers:
            turned = self._turned = dict(numbers), self.read(**numbers)
        cut = {"Y": slice(region[0], region[2]), "X": slice(region[1], region[3])}
        axes = [name for name in self.axes if name not in numbers]
        return turned[1][tuple(cut.get(name, slice(None)) for name in axes)]

    def _sample_axis(self, axes: str) -> int:
        """Where the samples are; the colours of a palette come last."""
        return axes.index("S") if self._palette is None else -1

    def _pixels(self, index: list, region: Region | None) -> np.ndarray:
        level, file, lead = self._level, self._tiff.filehandle, self._level.lead
        wanted = level.pages[:1]
        if lead >= 0:
            numbers = np.arange(len(level.pages)).reshape(level.shape[:lead])[tuple(index[:lead])]
            wanted = [level.pages[number] for number in np.ravel(numbers)]
        if level.offset is not None:
            for page in wanted:
                check_alike(self.path, page, self._key)
            dtype = np.dtype(self._key.parent.byteorder + self._key.dtype.char)
            if level.offset + math.prod(level.shape) * dtype.itemsize > file.size:
                raise CellMMError(f"{self.path} is cut off after {file.size} bytes: {AGAIN}")
            return native(file.memmap_array(dtype, level.shape, level.offset)[tuple(index)])
        if lead < 0:
            raise CellMMError(
                f"{self.path} is damaged: it has {len(level.pages)} pages of shape {self._key.shape}, its "
                f"description says {level.shape} for the axes {level.axes}: {AGAIN}"
            )
        if missing := sum(page is None for page in wanted):
            raise CellMMError(
                f"{self.path} lacks {missing} of {len(wanted)} planes that its description states"
                f"{absent_files(self.path, self._tiff) or f': {AGAIN}'}"
            )
        shape, names = list(level.shape[lead:]), self._names[lead:]
        if region is not None:
            shape[names.index("Y")], shape[names.index("X")] = region[2] - region[0], region[3] - region[1]
        beside = any(page.parent is not self._tiff for page in wanted)
        with self._beside if beside else nullcontext():
            pages = [read_page(self.path, page, self._key, region, self._cache) for page in wanted]
        image = np.stack([page.reshape(shape) for page in pages])
        rest = [part if isinstance(part, int) else slice(None) for part in index[lead:]]
        return image[(slice(None), *rest)]

    def _as_meant(self, image: np.ndarray, axes: str) -> np.ndarray:
        """White as the largest value, and colours for the numbers of a palette."""
        if self._palette is not None:
            return self._palette[image]
        top = 2 ** int(self._key.bitspersample) - 1
        if self.white_is_zero and not self._stored:
            if image.dtype.kind not in "bu":
                raise CellMMError(
                    f"{self.path} is a TIFF of {image.dtype} in which white is zero, which has no meaning: "
                    "save it with black as zero (photometric 1)"
                )
            image = ~image if image.dtype == bool else image.dtype.type(top) - image
        if self.alpha and int(self._key.extrasamples[0]) == 1 and image.dtype.kind == "u":
            if (np.take(image, -1, axis=axes.index("S")) != top).any():
                raise CellMMError(
                    f"{self.path} holds colours multiplied by their opacity (associated alpha): save it "
                    "without transparency"
                )
        return image

    def layout(self) -> FileLayout:
        image, turn = self._image, -1 if self._orientation >= 5 else 1
        sizes = [(level.key.imagelength, level.key.imagewidth) for level in image.levels]
        size = pixel_size(self._tiff, image.levels[0].key, image.number, image.kind)
        if size is not None:
            now = self._key.imagelength, self._key.imagewidth
            size = (size[0] * sizes[0][0] / now[0], size[1] * sizes[0][1] / now[1])[::turn]
        names = channel_names(self._tiff, image.number, image.kind)
        count = self.shape[self.axes.index("C")] if "C" in self.axes else 1
        files = {Path(page.parent.filehandle.path) for page in self._level.pages if page is not None}
        return FileLayout(
            path=self.path,
            kind="TIFF",
            axes=self.axes,
            shape=self.shape,
            dtype=self.dtype,
            pixel_size=size,
            channel_names=names[:count] if len(names) >= count else (),
            positions=self._positions,
            position=self._position,
            levels=tuple(size[::turn] for size in sizes),
            alpha=self.alpha,
            files=tuple(sorted(files - {Path(self._tiff.filehandle.path)})),
        )

    def close(self) -> None:
        self._tiff.close()


def _choose_position(path: Path, images: list[TiffImage], count: int, position: int | None) -> int:
    if position is None and count > 1:
        sizes = list(dict.fromkeys(" x ".join(map(str, image.levels[0].key.shape)) for image in images))
        text = f" of sizes {' and '.join(sizes[:2])}" if len(sizes) > 1 else ""
        raise CellMMError(
            f"{path} has {count} positions{text}: choose one with --position N (position=N), counted from 0, "
            "or save one image per file"
        )
    position = position or 0
    if not 0 <= position < count:
        raise CellMMError(f"position is {position}, but {path} has {count}, counted from 0")
    return position


def _squeezed(names: str, shape: tuple[int, ...], numbers: dict) -> tuple[str, tuple[int, ...]]:
    """Axes and shape without axes of size 1, except Y and X, and without those that have a number."""
    keep = [i for i, name in enumerate(names) if name in "YX" or (shape[i] > 1 and name not in numbers)]
    return "".join(names[i] for i in keep), tuple(shape[i] for i in keep)


def _is_white_zero(tiff: tifffile.TiffFile, page: tifffile.TiffPage, stored: bool) -> bool:
    """Whether white is zero, and this says something about the numbers that are wanted.

    tifffile writes all images of 1 bit this way, with True as 1. In ImageJ the tag is a look-up table of the
    screen: what is selected in a mask is stored as 255, also where it is shown black.
    """
    if page.photometric != 0 or "PhotometricInterpretation" not in page.tags:
        return False
    if stored and tiff.is_imagej:
        return False
    by_tifffile = tiff.is_shaped or str(page.tags.valueof("Software", "")).startswith("tifffile")
    return not (page.dtype == bool and by_tifffile)


def _colors(tiff: tifffile.TiffFile, page: tifffile.TiffPage) -> np.ndarray | None:
    """The colours (N, 3) of a palette, uint8; None where the numbers are the image."""
    if page.photometric != 3 or page.colormap is None or tiff.pages.first.imagej_description:
        return None
    colors = page.colormap >> 8 if page.colormap.max() > 255 else page.colormap
    if (np.diff(_LUMA @ page.colormap) >= 0).all():
        return None
    return np.ascontiguousarray(colors.T.astype(np.uint8))
