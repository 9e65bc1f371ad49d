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


@dataclass(frozen=True)
class UNetGrids:
    """The maps of DiskMask's two nets on an input at ``start``: a 5x5 convolution of stride 2, then per level
    ``depth`` 3x3 convolutions, pooling between, and as many on the way up after each doubling.

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
        into = [start.conv(5, stride=2)]
        down = [into[0].conv(count=depth)]
        for _ in range(levels - 1):
            into.append(down[-1].pool())
            down.append(into[-1].conv(count=depth))
        doubled, up = [down[-1].up()], [down[-1].up().conv(count=depth)]
        for _ in range(levels - 1):
            doubled.append(up[-1].up())
            up.append(doubled[-1].conv(count=depth))
        return cls(tuple(into), tuple(down), tuple(doubled), tuple(up))
