"""The values that an image is normalised by, measured once and applied to any part of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

MOST_PIXELS = 2**23  # of an image that is looked at pixel by pixel; of larger ones, every second, third ...

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class NormStatistics:
    """``(x - shift) / scale`` for each pixel and channel of an image, or of a part of it.

    Args:
        shift, scale: float64 (gh, gw, C), in the middle of gh x gw equal blocks; between these they are
            interpolated linearly. (1, 1, C): the same everywhere. A scale of 0: the channel is constant.
        shape: (H, W) of the image in pixels.
        fill: bool (h, w), what holds no image (see ``find_fill``), of every ``stride``-th row and column;
            None: nothing.
        fill_values: float32 (V, C), the values that those pixels have; needed where ``stride`` is above 1.
        fill_becomes: float64 (C,), what they become, the mean of the other pixels once normalised.
        stride: 1 for images of at most 2^23 pixels.
        box: (top, left, bottom, right) of the part, ends excluded; None: the whole image.
    """

    shift: np.ndarray
    scale: np.ndarray
    shape: tuple[int, int]
    fill: np.ndarray | None = None
    fill_values: np.ndarray = field(default_factory=lambda: np.zeros((0, 1), np.float32))
    fill_becomes: np.ndarray = field(default_factory=lambda: np.zeros(1))
    stride: int = 1
    box: Box | None = None

    def part(self, top: int, left: int, bottom: int, right: int) -> "NormStatistics":
        """The statistics for the part of the image from (``top``, ``left``) to (``bottom``, ``right``)."""
        return replace(self, box=(top, left, bottom, right))

    def apply(self, image: np.ndarray) -> np.ndarray:
        """Normalise ``image``, (h, w, C), the whole or the part: float32.

        The part may have been rescaled.
        """
        places = self._places(image.shape[:2])
        shift, scale = (_interpolated(grid, places, self.shape) for grid in (self.shift, self.scale))
        normalised = ((image - shift) / np.where(scale > 0, scale, 1)).astype(np.float32)
        fill = self._fill_of(image, places)
        if fill is not None:
            normalised[fill] = self.fill_becomes
        return normalised

    def _places(self, shape: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Row and column in the image of each row and column of the part, at the pixels' centres."""
        top, left, bottom, right = self.box or (0, 0, *self.shape)
        return tuple(
            first + (np.arange(num) + 0.5) * (end - first) / num - 0.5
            for first, end, num in ((top, bottom, shape[0]), (left, right, shape[1]))
        )

    def _fill_of(self, image: np.ndarray, places: Sequence[np.ndarray]) -> np.ndarray | None:
        if self.fill is None:
            return None
        near = np.zeros(image.shape[:2], bool)
        for offset in (0, 1) if self.stride > 1 else (0,):  # the fill ends between two pixels looked at
            rows, cols = (
                (np.rint(place).astype(np.int64) // self.stride + offset).clip(0, side - 1)
                for place, side in zip(places, self.fill.shape, strict=True)
            )
            near |= self.fill[np.ix_(rows, cols)]
        if self.stride == 1:
            return near
        return near & (image[:, :, None] == self.fill_values).all(-1).any(-1)

    def to_dict(self) -> dict:
        """As plain numbers and lists, for a json."""
        fill = None if self.fill is None else np.packbits(self.fill).tobytes().hex()
        return dict(
            shift=self.shift.tolist(),
            scale=self.scale.tolist(),
            shape=list(self.shape),
            fill=fill,
            fill_shape=None if self.fill is None else list(self.fill.shape),
            fill_values=self.fill_values.tolist(),
            fill_becomes=self.fill_becomes.tolist(),
            stride=self.stride,
        )

    @classmethod
    def from_dict(cls, content: dict) -> "NormStatistics":
        """The inverse of ``to_dict``."""
        fill = content["fill"]
        if fill is not None:
            rows, cols = content["fill_shape"]
            bits = np.frombuffer(bytes.fromhex(fill), np.uint8)
            fill = np.unpackbits(bits, count=rows * cols).astype(bool).reshape(rows, cols)
        return cls(
            shift=np.asarray(content["shift"], np.float64),
            scale=np.asarray(content["scale"], np.float64),
            shape=tuple(content["shape"]),
            fill=fill,
            fill_values=np.asarray(content["fill_values"], np.float32),
            fill_becomes=np.asarray(content["fill_becomes"], np.float64),
            stride=content["stride"],
        )


def sample_pixels(
    shape: Sequence[int], blocks: Iterable[tuple[int, int, np.ndarray]]
) -> tuple[np.ndarray, int]:
    """Every ``stride``-th row and column of an image of ``shape`` (H, W), float32 (h, w, C), and the stride.

    Args:
        blocks: (top, left, pixels (h, w, C)) of parts that cover the image, in any order.
    """
    stride = 1
    while -(-shape[0] // stride) * -(-shape[1] // stride) > MOST_PIXELS:
        stride += 1
    sample = None
    for top, left, pixels in blocks:
        if sample is None:
            sides = (-(-side // stride) for side in shape)
            sample = np.zeros((*sides, pixels.shape[-1]), np.float32)
        part = pixels[-top % stride :: stride, -left % stride :: stride]
        row, col = -(-top // stride), -(-left // stride)
        sample[row : row + part.shape[0], col : col + part.shape[1]] = part
    if sample is None:
        raise ValueError("no block: an image has at least one pixel")
    return sample, stride


def _interpolated(grid: np.ndarray, places: Sequence[np.ndarray], shape: Sequence[int]) -> np.ndarray:
    """Values of ``grid`` (gh, gw, C), which covers ``shape`` (H, W), at rows and columns: (h, w, C) or
    (1, 1, C)."""
    for axis, (place, side) in enumerate(zip(places, shape, strict=True)):
        num = grid.shape[axis]
        if num == 1:
            continue
        at = ((place + 0.5) * num / side - 0.5).clip(0, num - 1)
        low = np.minimum(at.astype(np.int64), num - 2)
        weight = np.expand_dims(at - low, tuple(i for i in range(3) if i != axis))
        grid = grid.take(low, axis) * (1 - weight) + grid.take(low + 1, axis) * weight
    return grid
