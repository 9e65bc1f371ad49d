"""Which axis of a file holds what, where the file does not say it."""

from collections.abc import Sequence

from cellmm.errors import CellMMError
from cellmm.io.sources.base import MAX_CHANNELS, ReadOptions

KNOWN = "YXCSTZR"


def name_axes(shape: Sequence[int], axes: str, options: ReadOptions, what: str) -> str:
    """A letter per axis of ``shape``: Y and X once, and at most once C or S, T, Z and R.

    Axes of size 1 other than Y and X become Q, which the reader leaves out.

    Args:
        axes: what the file ``what`` states; other letters than these are not known.

    Raises:
        CellMMError: an axis is not stated, and its size does not say what it is.
    """
    names = [name if size > 1 or name in "YX" else "Q" for name, size in zip(axes, shape, strict=True)]
    kept = [i for i, (name, size) in enumerate(zip(names, shape, strict=True)) if size > 1 or name in "YX"]
    sizes = tuple(int(shape[i]) for i in kept)
    own = _named([names[i] for i in kept], sizes, options, what)
    for i, name in zip(kept, own, strict=True):
        names[i] = name
    return "".join(names)


def _named(names: list[str], sizes: tuple[int, ...], options: ReadOptions, what: str) -> list[str]:
    axis = options.channel_axis
    unknown = [i for i, name in enumerate(names) if name not in KNOWN]
    if axis is not None and len(names) > 2:
        if not -len(names) <= axis < len(names):
            raise CellMMError(f"channel_axis is {axis}, but {what} has the axes 0 to {len(names) - 1}")
        return _with_channels(names, axis % len(names), what)
    if len(unknown) == 1 and (options.z is not None or options.time is not None):
        names[unknown[0]] = "Z" if options.z is not None else "T"
    elif unknown and len(names) == 3:
        small = [i for i, size in enumerate(sizes) if size <= MAX_CHANNELS]
        if len(small) != 1:
            raise CellMMError(
                f"{what} has shape {sizes}: say with channel_axis which axis holds the channels, with z that "
                "the axis without a name holds focal planes, or with time that it holds time points"
            )
        return _with_channels(names, small[0], what)
    elif unknown:
        raise CellMMError(
            f"{what} has {len(names)} axes {''.join(names)} of {sizes}, and does not say what "
            f"{names[unknown[0]]} is: save one image per file"
        )
    if "C" in names and "S" in names:
        raise CellMMError(
            f"{what} has {sizes[names.index('C')]} channels of {sizes[names.index('S')]} colours each: save "
            "each channel as a grey image"
        )
    if len(set(names)) < len(names):
        raise CellMMError(f"{what} has the axes {''.join(names)}, one of them twice: save one image per file")
    return names


def _with_channels(names: list[str], axis: int, what: str) -> list[str]:
    """``names`` where ``axis`` holds the channels; of three axes, the other two are Y and X."""
    letter = "S" if names[axis] == "S" else "C"
    if len(names) == 3:
        others = iter("YX")
        return [letter if i == axis else next(others) for i in range(3)]
    if names[axis] in "YX":
        raise CellMMError(f"channel_axis is {axis}, but that axis of {what} is {names[axis]}: choose another")
    if any(name in "CS" for i, name in enumerate(names) if i != axis):
        raise CellMMError(
            f"channel_axis is {axis}, but {what} has the axes {''.join(names)}, and its channels in another: "
            "leave channel_axis out"
        )
    return [letter if i == axis else name for i, name in enumerate(names)]
