"""Images of any type and number of channels as pictures."""

import colorsys

import numpy as np


def to_display(image: np.ndarray, percentiles: tuple[float, float] = (0.5, 99.8)) -> np.ndarray:
    """Any image (H, W) or (H, W, C), of any type and range, as RGB uint8 (H, W, 3).

    Values are stretched between two percentiles, so that the few brightest pixels do not darken the rest. By
    the number of channels:

    - 1: grey.
    - 2: the first magenta, the second green. Where the two agree the picture is grey; what differs between
      two focal planes, or two stains, has colour.
    - 3: red, green and blue, stretched together, which keeps the colours of a stain.
    - 4 and more: each channel in a hue of its own, added up.

    Raises:
        ValueError: not an image, or values that are not finite.

    Examples:
        >>> to_display(np.array([[0, 500, 1000]]), percentiles=(0, 100))[0].tolist()
        [[0, 0, 0], [128, 128, 128], [255, 255, 255]]
    """
    image = np.asarray(image, dtype=np.float32)
    image = image[..., None] if image.ndim == 2 else image
    if image.ndim != 3 or image.size == 0:
        raise ValueError(f"an image of shape {image.shape} cannot be shown: (H, W) or (H, W, C) is needed")
    if not np.isfinite(image).all():
        raise ValueError("the image holds NaN or infinite values and cannot be shown")
    channels = image.shape[2]
    if channels == 3:
        shown = _stretch(image, percentiles, axis=None)
    else:
        shown = _stretch(image, percentiles, axis=(0, 1)) @ _channel_colors(channels)
        if channels > 3:
            shown = _stretch(shown, (0, percentiles[1]), axis=None)
    return (255 * shown).round().astype(np.uint8)


def _stretch(image: np.ndarray, percentiles: tuple[float, float], axis: tuple | None) -> np.ndarray:
    """Values between the percentiles to 0..1; a flat image, which has no range, to 0."""
    low, high = np.percentile(image, percentiles, axis=axis)
    return np.clip((image - low) / np.where(high > low, high - low, 1), 0, 1).astype(np.float32)


def _channel_colors(channels: int) -> np.ndarray:
    """RGB float32 (C, 3), 0 to 1."""
    if channels == 1:
        return np.ones((1, 3), np.float32)
    if channels == 2:
        return np.array([[1, 0, 1], [0, 1, 0]], np.float32)
    return np.array([colorsys.hsv_to_rgb(i / channels, 1, 1) for i in range(channels)], np.float32)
