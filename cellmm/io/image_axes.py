"""Which axes of a file make an image (H, W, C): the choice of a time point, a focal plane and channels."""

from collections.abc import Sequence
from pathlib import Path

from cellmm.errors import CellMMError

MAX_CHANNELS = 8
PAGES = "IQ"  # axes without a statement


def choose_planes(
    path: str | Path,
    axes: str,
    shape: Sequence[int],
    *,
    time: int | None = None,
    z: int | str | None = None,
    channel_axis: int | None = None,
) -> tuple[dict[str, int], str | None]:
    """Numbers on the axes of time and focal planes, and the axis over which the maximum is taken, if any.

    The pages of a TIFF that does not state its axes are time points if ``time`` is given, else focal planes
    if ``z`` is. ``channel_axis``, counted in what is left, may be an axis of focal planes or time points:
    then these are channels.

    Raises:
        CellMMError: the file has several time points or focal planes and the choice is missing, or it has
            no such number.
    """
    numbers: dict[str, int] = {}
    largest = None
    for letter, value, name in (("T", time, "time"), ("Z", z, "z")):
        if value is None:
            continue
        axis = letter if letter in axes else next((page for page in PAGES if page in axes), letter)
        count = shape[axes.index(axis)] if axis in axes and axis not in numbers else 1
        if name == "z" and value == "max":
            largest = axis if count > 1 else None
            continue
        if not isinstance(value, int) or not 0 <= value < count:
            what = "time points" if name == "time" else "focal planes"
            also = "" if name == "time" else " or 'max'"
            raise CellMMError(
                f"{name} is {value!r}, but {path} has {count} {what}: take 0 to {count - 1}{also}"
            )
        if count > 1:
            numbers[axis] = value
    left = [axis for axis in axes if axis not in numbers and axis != largest]
    as_channels = left[channel_axis] if channel_axis is not None and -3 <= channel_axis < len(left) else None
    for letter, what, cure in (
        ("T", "time points", "choose one with --time N (time=N)"),
        ("Z", "focal planes", "choose one with --z N (z=N), or their maximum with --z max (z='max')"),
    ):
        if letter in left and letter != as_channels:
            raise CellMMError(
                f"{path} has {shape[axes.index(letter)]} {what}: {cure}, or take them as channels with "
                f"channel_axis={left.index(letter)}, or save one image per file"
            )
    return numbers, largest


def find_channel_axis(
    path: str | Path, axes: str, shape: Sequence[int], channel_axis: int | None = None
) -> int | None:
    """Which of the axes holds the channels; None: a grey image without such an axis.

    It is ``channel_axis`` if that is given, else the one that the file states, else the only axis of size 8
    or less: the pages of a TIFF without a statement are channels, such as focal planes.

    Raises:
        CellMMError: there are more than three axes, or none or several that could be it.
    """
    if len(axes) == 2:
        return None
    if len(axes) > 3:
        raise CellMMError(f"{path} has {len(axes)} axes {axes} of {tuple(shape)}: save one image per file")
    if channel_axis is None:
        stated = [i for i, name in enumerate(axes) if name in "CS"]
        small = [i for i, size in enumerate(shape) if size <= MAX_CHANNELS]
        if len(stated) != 1 and len(small) != 1:
            raise CellMMError(
                f"{path} has shape {tuple(shape)}: say with channel_axis which axis holds the channels"
            )
        channel_axis = stated[0] if len(stated) == 1 else small[0]
    if not -3 <= channel_axis < 3:
        raise CellMMError(f"channel_axis is {channel_axis}, but {path} has the axes 0 to 2")
    return channel_axis % 3


def channel_numbers(
    path: str | Path, channels: Sequence[int | str], count: int, names: Sequence[str]
) -> list[int]:
    """Numbers of channels that are given by number, from 0, or by a name that the file states."""
    numbers = [
        names.index(channel) if isinstance(channel, str) and channel in names else channel
        for channel in channels
    ]
    wrong = [number for number in numbers if isinstance(number, str) or not 0 <= number < count]
    if wrong:
        named = f" ({', '.join(names)})" if names else ""
        raise CellMMError(f"{path} has {count} channels, 0 to {count - 1}{named}; asked for {list(channels)}")
    return numbers
