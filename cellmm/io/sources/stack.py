"""An array with named axes, and the images (H, W, C) in it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from cellmm.errors import CellMMError
from cellmm.io.sources.axes import name_axes
from cellmm.io.sources.base import MAX_CHANNELS, ImageSource, ReadOptions
from cellmm.io.sources.color import check_color, recolor, recolored


class Sliceable(Protocol):
    """A NumPy, zarr or dask array, or another that reads what is sliced."""

    shape: tuple[int, ...]
    dtype: np.dtype

    def __getitem__(self, index: tuple[int | slice, ...]) -> Any: ...


@dataclass(frozen=True)
class Stack:
    """One field of view.

    Args:
        array: of any number of axes.
        axes: a letter per axis: Y, X, C channels, S samples of a colour, Z, T, R positions; other letters are
            axes that are not stated.
        name: for the results.
        path: None for arrays.
        pixel_size: (y, x) in micrometres; None: not known.
        channel_names: those that are stated; not used unless there is a name for each channel.
        label: of the position, such as ``/B/03/0``; empty: it is numbered.
        opaque: the last sample is an opacity that is full everywhere; it is left out.
    """

    array: Sliceable
    axes: str
    name: str
    path: Path | None = None
    pixel_size: tuple[float, float] | None = None
    channel_names: tuple[str, ...] = ()
    label: str = ""
    opaque: bool = False

    @property
    def what(self) -> str:
        """The path, or the name of an array, for messages."""
        return str(self.path or self.name)


def images_of(stacks: list[Stack], options: ReadOptions) -> list[ImageSource]:
    """The images of all positions and time points that ``options`` ask for, each named after its place."""
    stacks = [
        replace(stack, axes=name_axes(stack.array.shape, stack.axes, options, stack.what)) for stack in stacks
    ]
    places = [(stack, index) for stack in stacks for index in range(_size(stack, "R"))]
    chosen = range(len(places)) if options.position is None else [options.position]
    _check_number("position", "positions", options.position, len(places), stacks[0].what)
    images: list[ImageSource] = []
    for number in chosen:
        stack, region = places[number]
        for time in _times(stack, options):
            several = {} if len(places) == 1 else {"position": number}
            several |= {} if _size(stack, "T") == 1 else {"time": time}
            images.append(_image(stack, {"R": region, "T": time}, several, options))
    return images


def _size(stack: Stack, letter: str) -> int:
    return int(stack.array.shape[stack.axes.index(letter)]) if letter in stack.axes else 1


def _times(stack: Stack, options: ReadOptions) -> Iterator[int]:
    count = _size(stack, "T")
    _check_number("time", "time points", options.time, count, stack.what)
    return iter(range(count) if options.time is None else [options.time])


def _check_number(option: str, of_what: str, number: int | None, count: int, what: str) -> None:
    if number is not None and not 0 <= number < count:
        raise CellMMError(
            f"{what} has {count} {of_what}: {option} is {number}, but it has to be 0 to {count - 1}"
        )


def _image(
    stack: Stack, fixed: Mapping[str, int], several: Mapping[str, int], options: ReadOptions
) -> ImageSource:
    planes, stack = _planes(stack, options.z)
    letter = next((name for name in "CS" if name in stack.axes), "")
    count = _size(stack, letter) - stack.opaque if letter else 1
    if len(stack.channel_names) != count:  # one for all samples of a colour, or those of pages
        stack = replace(stack, channel_names=())
    numbers = _channel_numbers(stack, count, options.channels)
    if len(numbers) > MAX_CHANNELS:
        raise CellMMError(
            f"{stack.what} has {count} channels (shape {tuple(stack.array.shape)}), more than "
            f"{MAX_CHANNELS}: choose with channels=[...], or set channel_axis if another axis holds them"
        )
    names = tuple(stack.channel_names[i] for i in numbers) if stack.channel_names else ()
    check_color(options.color, len(numbers), letter == "S", stack.what)
    out, dtype = recolored(len(numbers), stack.array.dtype.newbyteorder("="), options.color)
    name = stack.name
    if "position" in several:
        name += stack.label or f"_p{several['position']:03d}"
    if "time" in several:
        name += f"_t{several['time']:04d}"
    return StackImage(
        name=name,
        path=stack.path,
        shape=(_size(stack, "Y"), _size(stack, "X")),
        num_channels=out,
        channel_names=names if out == len(numbers) else (),
        dtype=dtype,
        pixel_size=options.pixel_size or stack.pixel_size,
        position=several.get("position"),
        time=several.get("time"),
        stack=stack,
        fixed={name: number for name, number in fixed.items() if name in stack.axes},
        planes=planes,
        channels=tuple(numbers),
        color=options.color,
        z=options.z,
    )


def _planes(stack: Stack, z: int | str | None) -> tuple[tuple[int, ...], Stack]:
    """The focal planes whose maximum is the image, and the stack, with Z as C where planes are channels."""
    count = _size(stack, "Z")
    if isinstance(z, str) and z not in ("max", "channels"):
        raise CellMMError(f"z is {z!r}: a number from 0, 'max' or 'channels'")
    if isinstance(z, int):
        _check_number("z", "focal planes", z, count, stack.what)
        return (z,), stack
    if count == 1 or z == "max":
        return tuple(range(count)), stack
    if z is None:
        raise CellMMError(
            f"{stack.what} has {count} focal planes: choose --z max or --z 0 to {count - 1}; to take them as "
            "channels, set z='channels' of LoadImage"
        )
    if any(name in stack.axes for name in "CS"):
        raise CellMMError(
            f"{stack.what} has {count} focal planes and several channels: z='channels' takes files of one "
            "channel; choose z='max' or a number"
        )
    return (0,), replace(stack, axes=stack.axes.replace("Z", "C"), channel_names=())


def _channel_numbers(stack: Stack, count: int, wanted) -> list[int]:
    if wanted is None:
        return list(range(count))
    if isinstance(wanted, int | str):
        wanted = [wanted]
    numbers = []
    for channel in wanted:
        if isinstance(channel, str):
            if channel not in stack.channel_names:
                names = f"its channels are {', '.join(stack.channel_names)}"
                none = f"it does not state names for its {count} channels, give numbers"
                raise CellMMError(
                    f"{stack.what} has no channel {channel!r}: {names if stack.channel_names else none}"
                )
            channel = stack.channel_names.index(channel)
        if not 0 <= channel < count:
            raise CellMMError(
                f"{stack.what} has {count} channels, 0 to {count - 1}; asked for {list(wanted)}"
            )
        numbers.append(int(channel))
    if not numbers:
        raise CellMMError(f"{stack.what}: channels is empty; leave it out for all channels")
    return numbers


def _read_together(array: Sliceable, axis: int) -> int:
    """How many entries of an axis are decoded at once, so that it would cost more to read them one by one."""
    chunks = getattr(array, "chunks", None)  # of zarr a number per axis, of dask the sizes
    return 1 if chunks is None else int(np.max(chunks[axis]))


@dataclass(frozen=True)
class StackImage:
    """An ImageSource in a stack.

    Each of the ``planes`` is read on its own, and so are channels that lie in pages or chunks of their own;
    what shares a chunk is read at once.
    """

    name: str
    path: Path | None
    shape: tuple[int, int]
    num_channels: int
    channel_names: tuple[str, ...]
    dtype: np.dtype
    pixel_size: tuple[float, float] | None
    position: int | None
    time: int | None
    stack: Stack = field(repr=False)
    fixed: Mapping[str, int] = field(repr=False)
    planes: tuple[int, ...] = field(repr=False)
    channels: tuple[int, ...] = field(repr=False)
    color: str = field(repr=False)
    z: int | str | None = field(default=None, repr=False)  # of the ReadOptions that it was opened with

    @property
    def is_color(self) -> bool:
        """Whether the channels are all samples of a colour."""
        whole = self.channels == tuple(range(len(self.channels))) and len(self.channels) >= 3
        return whole and "S" in self.stack.axes

    def read(self, top: int, left: int, bottom: int, right: int) -> np.ndarray:
        """Pixels (bottom - top, right - left, C) in the ``dtype``; ends excluded, inside the image."""
        height, width = self.shape
        if not (0 <= top < bottom <= height and 0 <= left < right <= width):
            raise ValueError(
                f"{self.name}: rows {top} to {bottom}, columns {left} to {right} of {self.shape}"
            )
        part = {"Y": slice(top, bottom), "X": slice(left, right), **self.fixed}
        image, planes = None, self.planes
        step = 1
        if len(planes) > 1:  # all of them
            step = _read_together(self.stack.array, self.stack.axes.index("Z"))
        for first in range(planes[0], planes[-1] + 1, step):
            last = min(first + step, planes[-1] + 1)
            new = self._read_planes({**part, "Z": first if step == 1 else slice(first, last)})
            image = new if image is None else np.maximum(image, new)
        return recolor(image, self.color)

    def read_all(self) -> np.ndarray:
        """All pixels (H, W, C)."""
        return self.read(0, 0, *self.shape)

    def _read_planes(self, part: Mapping[str, int | slice]) -> np.ndarray:
        axes, array = self.stack.axes, self.stack.array
        letter = next((name for name in "CS" if name in axes), None)
        first = letter is not None and axes.index(letter) < max(axes.index("Y"), axes.index("X"))
        apart = first and not isinstance(array, np.ndarray)
        if apart and _read_together(array, axes.index(letter)) == 1:
            channels = [self._slice(part, letter, number) for number in self.channels]
            return np.stack([channel[..., 0] for channel in channels], axis=-1)
        image = self._slice(part, letter, slice(None))
        chosen = list(self.channels)
        return image if chosen == list(range(image.shape[2])) else image[..., chosen]

    def _slice(
        self, part: Mapping[str, int | slice], letter: str | None, channels: int | slice
    ) -> np.ndarray:
        """Pixels (h, w, c) of ``channels``, the maximum over focal planes."""
        axes = self.stack.axes
        index = tuple(channels if name == letter else part.get(name, 0) for name in axes)
        try:
            image = np.asarray(self.stack.array[index])
        except (CellMMError, MemoryError):
            raise
        except Exception as error:  # zarr, bioio and their codecs fail in many ways
            text = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            raise CellMMError(f"{self.stack.what} cannot be read ({text}): copy it again") from error
        image = image.astype(image.dtype.newbyteorder("="), copy=False)
        left = [name for name, of_axis in zip(axes, index, strict=True) if isinstance(of_axis, slice)]
        if "Z" in left:
            image = image.max(axis=left.index("Z"))
            left.remove("Z")
        if letter not in left:
            left, image = [*left, "?"], image[..., None]
        order = [left.index("Y"), left.index("X"), next(i for i, name in enumerate(left) if name not in "YX")]
        return image.transpose(order)
