"""Places for cells, so that as many of them overlap, touch and lie alone as is asked for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

GAP = 3  # px to the next cell, from which a cell lies alone
TRIES = 40  # places that are looked at for a cell


@dataclass
class Crowd:
    """The cells on a canvas.

    Args:
        shape: (H, W) of the canvas.
        frame: the image on it.
        allowed: whether cells may lie at the pixels of a window of the canvas, and of a mask there.
    """

    shape: tuple[int, int]
    frame: tuple[slice, slice]
    allowed: Callable[[tuple[slice, slice], np.ndarray], bool]
    masks: list[np.ndarray] = field(default_factory=list)
    windows: list[tuple[slice, slice]] = field(default_factory=list)
    overlaps: list[bool] = field(default_factory=list)
    touches: list[bool] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.count = np.zeros(self.shape, np.int16)
        self.inside = np.zeros(self.shape, bool)
        self.inside[self.frame] = True

    def add(
        self,
        mask: np.ndarray,
        rng: np.random.Generator,
        *,
        overlapping: int,
        touching: int,
        left: int,
        share: float,
    ) -> bool:
        """Place a cell, bool (h, w); False where there is no room.

        Args:
            overlapping, touching: cells that overlap others or touch them, in the end.
            left: cells that are to be placed, with this one.
            share: of the smaller of two cells, that an overlap covers at most.
        """
        near = _grown(mask, GAP - 1)
        alone, beside, over = (
            lambda: self._alone(mask, near, rng),
            lambda: self._against(mask, rng, 0.0),
            lambda: self._against(mask, rng, share),
        )
        # most often a cell that lies over another makes two that overlap
        chances = [
            (wanted - sum(flags)) / (2 * left)
            for wanted, flags in ((overlapping, self.overlaps), (touching, self.touches))
        ]
        draw = rng.random()
        if not self.masks:
            ways = [alone]
        elif draw < chances[0]:
            ways = [over, alone]
        elif draw < max(chances[0], 0) + chances[1]:
            ways = [beside, alone]
        else:
            ways = [alone, beside]
        for way in ways:
            for _ in range(TRIES):
                window = way()
                if window is not None and self._seen(mask, window) and self.allowed(window, mask):
                    self._put(mask, near, window)
                    return True
        return False

    def _alone(
        self, mask: np.ndarray, near: np.ndarray, rng: np.random.Generator
    ) -> tuple[slice, slice] | None:
        """A random place, GAP or more from every cell."""
        room = [n - m for n, m in zip(self.shape, mask.shape, strict=True)]
        if min(room) <= 0:
            return None
        top, left = (int(rng.integers(n + 1)) for n in room)
        window = self._window(mask, top, left)
        wide, own = _clipped(near, top - GAP + 1, left - GAP + 1, self.shape)
        return None if (self.count[wide] > 0)[near[own]].any() else window

    def _against(
        self, mask: np.ndarray, rng: np.random.Generator, share: float
    ) -> tuple[slice, slice] | None:
        """A place over a random cell, moved away from it until no more than ``share`` is covered."""
        other = int(rng.integers(len(self.masks)))
        there, here = (_some_pixel(some, rng) for some in (self.masks[other], mask))
        start = [slice_.start + t - h for slice_, t, h in zip(self.windows[other], there, here, strict=True)]
        angle = rng.uniform(0, 2 * np.pi)
        most = share * min(mask.sum(), self.masks[other].sum())
        for step in range(4 * max(mask.shape)):
            top, left = round(start[0] + step * np.sin(angle)), round(start[1] + step * np.cos(angle))
            if not (0 <= top <= self.shape[0] - mask.shape[0] and 0 <= left <= self.shape[1] - mask.shape[1]):
                return None
            window = self._window(mask, top, left)
            covered = int((self.count[window] > 0)[mask].sum())
            if covered <= most:
                return window if covered or not share else None
        return None

    def _seen(self, mask: np.ndarray, window: tuple[slice, slice]) -> bool:
        """Whether enough of the cell is in the image to be annotated."""
        return int((mask & self.inside[window]).sum()) >= max(12, 0.1 * mask.sum())

    def _put(self, mask: np.ndarray, near: np.ndarray, window: tuple[slice, slice]) -> None:
        self.overlaps.append(False)
        self.touches.append(False)
        for other, (theirs, place) in enumerate(zip(self.masks, self.windows, strict=True)):
            top, left = (a.start - b.start for a, b in zip(window, place, strict=True))
            wide, own = _clipped(near, top - GAP + 1, left - GAP + 1, theirs.shape)
            if not (theirs[wide] & near[own]).any():
                continue
            part, own = _clipped(mask, top, left, theirs.shape)
            flags = self.overlaps if (theirs[part] & mask[own]).any() else self.touches
            flags[other] = flags[-1] = True
        self.touches = [touch and not over for touch, over in zip(self.touches, self.overlaps, strict=True)]
        self.masks.append(mask)
        self.windows.append(window)
        self.count[window] += mask

    @staticmethod
    def _window(mask: np.ndarray, top: int, left: int) -> tuple[slice, slice]:
        return slice(top, top + mask.shape[0]), slice(left, left + mask.shape[1])


def _grown(mask: np.ndarray, by: int) -> np.ndarray:
    """The mask with all pixels up to ``by`` from it, on a grid that is wider by as much on each side."""
    return ndimage.distance_transform_edt(~np.pad(mask, by)) <= by


def _clipped(
    array: np.ndarray, top: int, left: int, shape: Sequence[int]
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """The window of ``shape`` that ``array`` covers from (top, left) on, and the part of it that is there."""
    starts = (top, left)
    low = [min(max(start, 0), n) for start, n in zip(starts, shape, strict=True)]
    high = [max(min(s + m, n), a) for s, m, n, a in zip(starts, array.shape, shape, low, strict=True)]
    window = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    return window, tuple(slice(a - s, b - s) for a, b, s in zip(low, high, starts, strict=True))


def _some_pixel(mask: np.ndarray, rng: np.random.Generator) -> tuple[int, int]:
    y, x = np.nonzero(mask)
    chosen = int(rng.integers(len(y)))
    return int(y[chosen]), int(x[chosen])
