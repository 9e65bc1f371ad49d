"""Where the pixels of a map lie in the input of a network whose convolutions have no padding."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PixelGrid:
    """Pixel k of a map lies at ``origin + stride * k`` of the input, in input pixels, rows and columns alike.

    The pixel of a pooled map lies where the first of its four does. Source: the crops of diskmask 3.2.2.
    """

    stride: int = 1
    origin: int = 0

    def conv(self, kernel_size: int = 3, stride: int = 1, count: int = 1) -> "PixelGrid":
        """After ``count`` convolutions of this kind without padding."""
        grid = self
        for _ in range(count):
            grid = PixelGrid(grid.stride * stride, grid.origin + kernel_size // 2 * grid.stride)
        return grid

    def pool(self) -> "PixelGrid":
        """After 2x2 max pooling."""
        return PixelGrid(self.stride * 2, self.origin)

    def up(self) -> "PixelGrid":
        """After doubling rows and columns."""
        return PixelGrid(self.stride // 2, self.origin)

    def crop_of(self, other: "PixelGrid") -> int:
        """Pixels to cut off ``other``, of the same stride, to let it start where this one does.

        Where no whole number does (maps pooled differently), ``other`` starts less than a pixel early.
        """
        return (self.origin - other.origin) // self.stride


def grids_down(
    first: PixelGrid, levels: int, depth: int
) -> tuple[tuple[PixelGrid, ...], tuple[PixelGrid, ...]]:
    """What the blocks of a U-Net's way down take, ``first`` for the finest, and what they give.

    Both finest first: ``depth`` 3x3 convolutions per level, pooling between levels. ``depth=0`` stands for
    convolutions with padding, which move no pixel.
    """
    into, down = [first], [first.conv(count=depth)]
    for _ in range(levels - 1):
        into.append(down[-1].pool())
        down.append(into[-1].conv(count=depth))
    return tuple(into), tuple(down)


def grids_up(
    coarsest: PixelGrid, levels: int, depth: int
) -> tuple[tuple[PixelGrid, ...], tuple[PixelGrid, ...]]:
    """What the blocks of the way up take, after doubling, and what they give: both coarsest first."""
    doubled, up = [], [coarsest]
    for _ in range(levels):
        doubled.append(up[-1].up())
        up.append(doubled[-1].conv(count=depth))
    return tuple(doubled), tuple(up[1:])


@dataclass(frozen=True)
class UNetGrids:
    """The maps of DiskMask's two nets on an input at ``start``: a 5x5 convolution of stride 2, then the way
    down and the way up without padding, see ``grids_down`` and ``grids_up``.

    ``into``: what the blocks of the way down take, finest first; ``down``: what they give; ``doubled``: what
    the blocks of the way up take, coarsest first; ``up``: what they give, the last at the input's stride.
    """

    into: tuple[PixelGrid, ...]
    down: tuple[PixelGrid, ...]
    doubled: tuple[PixelGrid, ...]
    up: tuple[PixelGrid, ...]

    @staticmethod
    def smallest_input(levels: int, depth: int = 2) -> int:
        """The side of the smallest input that leaves the last map a pixel."""
        side = 1
        for _ in range(levels):  # back the way up
            side = -(-(side + 2 * depth) // 2)
        for _ in range(levels - 1):  # back the way down
            side = 2 * (side + 2 * depth)
        return 2 * (side + 2 * depth - 1) + 5

    @classmethod
    def of(cls, start: PixelGrid, levels: int, depth: int = 2) -> "UNetGrids":
        into, down = grids_down(start.conv(5, stride=2), levels, depth)
        return cls(into, down, *grids_up(down[-1], levels, depth))
