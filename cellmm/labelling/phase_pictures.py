"""Pictures of phase contrast for a person who outlines cells, and how crowded each field is."""

import cv2
import numpy as np
from skimage.exposure import equalize_adapthist

from cellmm.visualization import to_display

_SECOND_DIFFERENCES = np.outer([1, -2, 1], [1, -2, 1]).astype(np.float32)  # of noise alone: 6 times its sigma
MAD = 1.4826  # standard deviation of a normal distribution by its median absolute deviation
STRUCTURE = 3.0  # times the noise


def phase_picture(
    phase: np.ndarray,
    fluorescence: np.ndarray | None = None,
    *,
    clip_limit: float = 0.01,
    color: tuple[float, float, float] = (0.0, 1.0, 0.0),
) -> np.ndarray:
    """Phase contrast with an equalised histogram, and fluorescence laid over it in a colour.

    Contrast is equalised in parts of an eighth of the image (CLAHE, by scikit-image), so that faint
    outlines show beside bright halos. The fluorescence is stretched between its percentiles, and only
    brightens. Source: sparseseunet 4.1.

    Args:
        phase, fluorescence: (H, W), any type, finite.
        clip_limit: the higher, the more contrast, 0 to 1.
        color: (red, green, blue) of the fluorescence, 0 to 1 each.

    Returns:
        RGB uint8 (H, W, 3).

    Raises:
        ValueError: they differ in size, or a value is not finite.
    """
    grey = _finite(phase)
    grey = (grey - grey.min()) / (np.ptp(grey) or 1)
    if grey.any():  # of a flat image there is nothing to equalise
        grey = equalize_adapthist(grey, clip_limit=clip_limit)
    picture = np.broadcast_to(np.asarray(grey, np.float32)[..., None], (*grey.shape, 3))
    if fluorescence is not None:
        if np.shape(fluorescence) != grey.shape:
            raise ValueError(f"phase contrast is {grey.shape}, fluorescence {np.shape(fluorescence)} pixels")
        signal = to_display(fluorescence).astype(np.float32)[..., :1] / 255 * np.float32(color)
        picture = 1 - (1 - picture) * (1 - signal)
    return (255 * picture).round().astype(np.uint8)


def crowding(phase: np.ndarray, sigma: float = 3.0) -> float:
    """The share of a phase image (H, W) that shows cells, from 0 to about 1, without knowing the cells.

    A pixel counts where the standard deviation around it, weighted by a Gaussian of ``sigma`` px, is over
    three times that of the noise, which the second differences of the image tell. Halos count too. It ranks
    fields of one microscope; as a share of area it is rough.

    Source: Noise (Immerkaer, 1996), with the median in place of the mean.

    Raises:
        ValueError: a value is not finite.
    """
    image = _finite(phase)
    image = image - image.mean()
    differences = cv2.filter2D(image, -1, _SECOND_DIFFERENCES, borderType=cv2.BORDER_REFLECT)
    noise = MAD * np.median(np.abs(differences)) / 6
    mean, square = (cv2.GaussianBlur(values, (0, 0), sigma) for values in (image, image**2))
    return float((square - mean**2 > (STRUCTURE * noise) ** 2).mean())


def _finite(image: np.ndarray) -> np.ndarray:
    image = np.asarray(image, np.float32)
    if not np.isfinite(image).all():
        raise ValueError("the image holds NaN or infinite values")
    return image
