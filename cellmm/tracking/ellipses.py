"""Masks as the ellipses of their moments, and how far one ellipse is from another."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cellmm.structures import MaskRuns


@dataclass(frozen=True)
class Ellipses:
    """Area, centroid and second moments of N masks.

    Args:
        area: float64 (N,), px^2.
        centroid: float64 (N, 2), (y, x) in px; the middle of the first pixel is (0, 0).
        moments: float64 (N, 2, 2), the covariance of the pixels' area, px^2.
    """

    area: np.ndarray
    centroid: np.ndarray
    moments: np.ndarray

    @classmethod
    def of_masks(cls, masks: MaskRuns) -> "Ellipses":
        """Those of masks that each have at least one pixel.

        Examples:
            >>> bar = MaskRuns.from_crops([np.ones((1, 5), bool)], [(2, 3)], (9, 9))
            >>> found = Ellipses.of_masks(bar)
            >>> found.centroid.tolist(), found.moments.round(3).tolist()
            ([[2.0, 5.0]], [[[0.083, 0.0], [0.0, 2.083]]])
        """
        owner, num = masks.owners(), len(masks)
        x, y, n = (values.astype(np.float64) for values in (masks.x, masks.y, masks.length))

        def total(values: np.ndarray) -> np.ndarray:
            return np.bincount(owner, values, num)

        area = total(n)
        sum_y = n * y + n * (n - 1) / 2
        centroid = np.stack([total(sum_y), total(n * x)], 1) / area[:, None]
        cy, cx = centroid.T
        from_y, from_x = y - cy[owner], x - cx[owner]  # of the first pixel of each run
        run_y = n * from_y + n * (n - 1) / 2
        yy = n * from_y**2 + from_y * n * (n - 1) + (n - 1) * n * (2 * n - 1) / 6
        moments = np.empty((num, 2, 2))
        moments[:, 0, 0] = total(yy) / area + 1 / 12  # a pixel is a square, not a point
        moments[:, 1, 1] = total(n * from_x**2) / area + 1 / 12
        moments[:, 0, 1] = moments[:, 1, 0] = total(run_y * from_x) / area
        return cls(area, centroid, moments)

    def select(self, index: np.ndarray) -> "Ellipses":
        """Those of ``index``, in its order."""
        return Ellipses(self.area[index], self.centroid[index], self.moments[index])

    def concatenate(self, others: Sequence["Ellipses"]) -> "Ellipses":
        """These and others, one after another."""
        names = ("area", "centroid", "moments")
        return Ellipses(
            *(np.concatenate([getattr(part, name) for part in (self, *others)]) for name in names)
        )

    def moved(self, shift: np.ndarray) -> "Ellipses":
        """The same ellipses shifted by (N, 2) pixels."""
        return Ellipses(self.area, self.centroid + shift, self.moments)

    def joined(self, other: "Ellipses") -> "Ellipses":
        """For each pair, the ellipse of both masks as if they were one that is nowhere twice."""
        area = self.area + other.area
        share = (other.area / area)[:, None]
        apart = other.centroid - self.centroid
        moments = self.moments * (1 - share)[:, :, None] + other.moments * share[:, :, None]
        moments += (share * (1 - share))[:, :, None] * apart[:, :, None] * apart[:, None, :]
        return Ellipses(area, self.centroid + share * apart, moments)

    def distance(self, other: "Ellipses") -> np.ndarray:
        """Of each pair, float64 (N,) in px: that of the centroids where shapes are equal, else more.

        The 2-Wasserstein distance of the normal distributions with these moments (Dowson and Landau, 1982).
        It grows with a difference in place, size, elongation and direction.
        """
        product = self.moments @ other.moments
        root = np.sqrt(np.linalg.det(product).clip(min=0))
        shared = np.sqrt((np.trace(product, axis1=1, axis2=2) + 2 * root).clip(min=0))
        traces = np.trace(self.moments + other.moments, axis1=1, axis2=2)
        shape = (traces - 2 * shared).clip(min=0)
        return np.sqrt(((self.centroid - other.centroid) ** 2).sum(1) + shape)
