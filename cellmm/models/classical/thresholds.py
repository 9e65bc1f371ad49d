"""Which pixels of a grey image are foreground: thresholds of the whole image and of its parts."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage
from skimage import filters

from cellmm.checks import check_whole
from cellmm.registry import TASK_UTILS

METHODS = ("minimum_cross_entropy", "otsu", "three_class_otsu", "robust_background", "manual")
STRATEGIES = ("global", "adaptive")
AVERAGES = ("mean", "median", "mode")
VARIANCES = ("standard_deviation", "median_absolute_deviation")
BINS = 128  # of three-class Otsu's histogram
STEP = 0.5 / 65536  # a smaller step of minimum cross-entropy changes nothing in 16 bits
LOCAL_RANGE = (0.7, 1.5)  # a local threshold, as a share of the global one
HALF = 0.6744  # standard deviations within which half of a Gaussian lies


@TASK_UTILS.register_module()
class Threshold:
    """The thresholds of CellProfiler's IdentifyPrimaryObjects, with its defaults, for values in [0, 1].

    A pixel is foreground where the smoothed image reaches the threshold. The threshold itself is measured in
    the image as it is. Source: CellProfiler.

    Methods:

    - ``'minimum_cross_entropy'``: the iteration of Li and Tam (1998);
    - ``'otsu'``: the least variance within two classes. Source: Otsu;
    - ``'three_class_otsu'``: the same with three classes; those in the middle are ``middle``. Where fewer
      than three values are told apart, there are two classes;
    - ``'robust_background'``: without the darkest and the brightest pixels, the ``average`` plus
      ``deviations`` times the ``variance``;
    - ``'manual'``: ``value``.

    An image of a single value has no foreground, except by ``'manual'``.

    Args:
        method: one of those above.
        strategy: ``'global'``: one threshold for the image. ``'adaptive'``: one per window, with a smooth
            passage from each window to the next, and never outside of 0.7 to 1.5 times the global one.
        window: side of these windows, pixels. Along a side that is shorter than two, there is one.
        smoothing_scale: diameter of the smoothing, pixels: half of the weight lies within it. 0: none.
        correction: the threshold is multiplied by it, in proportion to black, 0. Above 1: less foreground.
        bounds: the least and the greatest threshold.
        middle: ``'foreground'`` or ``'background'``.
        lower_outliers, upper_outliers: shares of the pixels that robust background leaves out.
        average: ``'mean'``, ``'median'`` or ``'mode'``.
        variance: ``'standard_deviation'`` or ``'median_absolute_deviation'``.
        deviations: how many.
        value: the threshold of ``'manual'``; neither ``correction`` nor ``bounds`` change it.

    Raises:
        ValueError: an argument of another range.

    >>> import numpy as np
    >>> image = np.zeros((8, 8), np.float32)
    >>> image[2:5, 2:5] = 1
    >>> threshold = Threshold(method="otsu", smoothing_scale=0)
    >>> level = threshold.of_image(image)
    >>> int(threshold.foreground(image, level).sum())
    9
    """

    def __init__(
        self,
        method: str = "minimum_cross_entropy",
        strategy: str = "global",
        window: int = 50,
        smoothing_scale: float = 1.3488,
        correction: float = 1.0,
        bounds: Sequence[float] = (0.0, 1.0),
        middle: str = "foreground",
        lower_outliers: float = 0.05,
        upper_outliers: float = 0.05,
        average: str = "mean",
        variance: str = "standard_deviation",
        deviations: float = 2.0,
        value: float | None = None,
    ) -> None:
        check_choice("method", method, METHODS)
        check_choice("strategy", strategy, STRATEGIES)
        check_choice("middle", middle, ("foreground", "background"))
        check_choice("average", average, AVERAGES)
        check_choice("variance", variance, VARIANCES)
        check_whole(1, window=window)
        if not 0 <= smoothing_scale < np.inf or not 0 < correction < np.inf:
            raise ValueError(
                "smoothing_scale must be 0 or more and correction above 0, got "
                f"{smoothing_scale} and {correction}"
            )
        if len(bounds) != 2 or not 0 <= bounds[0] <= bounds[1] <= 1:
            raise ValueError(f"bounds must be two rising numbers from 0 to 1, got {bounds}")
        if lower_outliers < 0 or upper_outliers < 0 or lower_outliers + upper_outliers >= 1:
            raise ValueError(
                "lower_outliers and upper_outliers must be shares that leave pixels in, got "
                f"{lower_outliers} and {upper_outliers}"
            )
        if (method == "manual") != (value is not None):
            raise ValueError("value goes with method='manual', and only with it")
        if method == "manual" and strategy == "adaptive":
            raise ValueError("method='manual' is one threshold for the image; take strategy='global'")
        self.method, self.strategy, self.window = method, strategy, window
        self.smoothing_scale, self.correction = smoothing_scale, correction
        self.low, self.high = bounds
        self.middle, self.outliers = middle, (lower_outliers, upper_outliers)
        self.average, self.variance, self.deviations = average, variance, deviations
        self.value = value

    def of_values(self, values: np.ndarray) -> float:
        """The threshold by ``method`` of values of any shape, without correction and bounds.

        inf where all are equal, except of ``'manual'``.
        """
        if self.method == "manual":
            return float(self.value)
        values = values.ravel().astype(np.float64)  # float32 has no bins between values that are nearly equal
        if not values.size or values.min() == values.max():
            return np.inf
        return float(getattr(self, f"_{self.method}")(values))

    def of_image(self, image: np.ndarray, whole: float | None = None) -> float | np.ndarray:
        """The threshold of an image (h, w), with correction and bounds.

        Args:
            whole: ``of_values`` of a larger image that this is a part of; None: it is measured here.

        Returns:
            A number, or by ``strategy='adaptive'`` one for each pixel, (h, w).
        """
        whole = self.of_values(image) if whole is None else whole
        if self.method == "manual" or whole == np.inf:
            return whole
        whole = whole * self.correction
        if self.strategy == "global":
            return float(np.clip(whole, self.low, self.high))
        local = self._of_windows(image, whole / self.correction) * self.correction
        low, high = (share * np.clip(whole, self.low, self.high) for share in LOCAL_RANGE)
        return np.clip(local, max(self.low, low), min(self.high, high)).astype(np.float32)

    def foreground(self, image: np.ndarray, threshold: float | np.ndarray) -> np.ndarray:
        """The pixels, bool (h, w), where the image, smoothed by ``smoothing_scale``, reaches a threshold."""
        return smooth(image, self.smoothing_scale / 2 / HALF) >= threshold

    def _of_windows(self, image: np.ndarray, whole: float) -> np.ndarray:
        """The threshold at each pixel, (h, w), by splines through those in the middle of windows.

        A window of a single value has that value, so that ``LOCAL_RANGE`` decides.
        """
        edges = [
            np.linspace(0, side, max(side // self.window, 1) + 1).astype(int)
            if side >= 2 * self.window
            else np.array([0, side])
            for side in image.shape
        ]
        found = np.zeros([len(ends) - 1 for ends in edges])
        for row, col in np.ndindex(*found.shape):
            part = image[edges[0][row] : edges[0][row + 1], edges[1][col] : edges[1][col + 1]]
            own = self.of_values(part)
            found[row, col] = own if own < np.inf else part.flat[0]
        for axis, ends in enumerate(edges):
            middles = (ends[:-1] + ends[1:] - 1) / 2
            from scipy.interpolate import make_interp_spline  # on first use: other models do without

            spline = make_interp_spline(middles, found, k=min(3, len(middles) - 1), axis=axis)
            found = spline(np.clip(np.arange(image.shape[axis]), middles[0], middles[-1]))
        return found

    def _minimum_cross_entropy(self, values: np.ndarray) -> float:
        step = np.diff(np.unique(values)).min() / 2
        return filters.threshold_li(values, tolerance=max(step, STEP))

    def _otsu(self, values: np.ndarray) -> float:
        return filters.threshold_otsu(values)

    def _three_class_otsu(self, values: np.ndarray) -> float:
        counts, _ = np.histogram(values, BINS)
        if np.count_nonzero(counts) < 3:
            return self._otsu(values)
        lower, upper = filters.threshold_multiotsu(values, nbins=BINS)
        return lower if self.middle == "foreground" else upper

    def _robust_background(self, values: np.ndarray) -> float:
        values = np.sort(values).astype(np.float64)
        first, last = (round(len(values) * share) for share in self.outliers)
        values = values[first : len(values) - last]
        if self.average == "mode":
            average = _mode(values)
        else:
            average = np.mean(values) if self.average == "mean" else np.median(values)
        if self.variance == "standard_deviation":
            return average + self.deviations * np.std(values)
        return average + self.deviations * np.median(np.abs(values - np.median(values)))


def _mode(values: np.ndarray) -> float:
    """The middle of the fullest of 256 bins, or the value if there is only one."""
    if values.min() == values.max():
        return float(values[0])
    counts, ends = np.histogram(values, 256)
    place = int(counts.argmax())
    return float(ends[place] + ends[place + 1]) / 2


def smooth(image: np.ndarray, sigma: float, radius: int | None = None) -> np.ndarray:
    """``image`` (h, w) under a Gaussian that gives pixels outside of the image no weight; 0: as it is.

    Args:
        sigma: standard deviation, pixels.
        radius: pixels beyond which it is cut off; None: four times ``sigma``.
    """
    if sigma <= 0:
        return image
    options = dict(sigma=sigma, radius=radius, mode="constant")
    weight = ndimage.gaussian_filter(np.ones_like(image), **options)
    return ndimage.gaussian_filter(image, **options) / weight


def check_choice(name: str, value: object, choices: Sequence[str]) -> None:
    """Raise ValueError unless ``value`` is one of ``choices``."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}")
