"""Counts of a camera as values in [-1, 1], the range of a tanh, and back."""

import numpy as np

from cellmm.errors import CellMMError


def to_symmetric(counts: np.ndarray, white: float = 65535, name: object = "an image") -> np.ndarray:
    """2 counts / white - 1, float32 in [-1, 1], of any shape: 0 becomes -1 and ``white`` 1.

    Each whole number up to 65535 comes back by ``to_counts`` with the same ``white``.

    Args:
        white: the largest value that the images may hold: 65535 of 16 bits, 4095 of 12 bits, 255 of 8 bits.
        name: of the image, for the message.

    Raises:
        CellMMError: a value is not finite, below 0 or above ``white``.

    >>> to_symmetric(np.array([0, 255]), white=255).tolist()
    [-1.0, 1.0]
    """
    counts = np.asarray(counts)
    if counts.size:
        low, high = float(counts.min()), float(counts.max())
        if not (low >= 0 and high <= white):  # also where one is nan
            raise CellMMError(
                f"{name}: values from {low:g} to {high:g}, but white is {white:g}; set white of "
                "PackImagePair to the largest value that the files can hold, such as 4095 or 65535"
            )
    return (2 * counts.astype(np.float64) / white - 1).astype(np.float32)


def to_counts(values: np.ndarray, white: float = 65535) -> np.ndarray:
    """The inverse of ``to_symmetric``: uint16, the nearest whole number of (values + 1) white / 2.

    Values outside of [-1, 1], which no tanh gives, are clipped.
    """
    if not 0 < white <= 65535:
        raise ValueError(f"white must be above 0 and at most 65535, got {white}")
    counts = (np.asarray(values, dtype=np.float64) + 1) * (white / 2)
    return np.clip(np.rint(counts), 0, white).astype(np.uint16)
