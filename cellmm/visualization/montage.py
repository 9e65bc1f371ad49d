"""Pictures put together, labelled and written."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from cellmm.io.files import atomic_path

BAR = 22  # height of a caption
GAP = 6
FONT = cv2.FONT_HERSHEY_SIMPLEX


def caption(picture: np.ndarray, text: str) -> np.ndarray:
    """RGB uint8 (H, W, 3) -> (H + 22, W, 3): one line of text above; what is too long is cut on the left."""
    while len(text) > 1 and cv2.getTextSize(text, FONT, 0.45, 1)[0][0] > picture.shape[1] - 8:
        text = text[1:]
    bar = np.full((BAR, picture.shape[1], 3), 30, np.uint8)
    cv2.putText(bar, text, (4, 15), FONT, 0.45, (255, 255, 255), 1, cv2.LINE_AA)
    return np.vstack([bar, picture])


def legend(picture: np.ndarray, names: Sequence[str], colors: np.ndarray) -> np.ndarray:
    """RGB uint8 (H, W, 3) -> (H + n * 22, W, 3): below it a square of each colour with its name.

    What does not fit into a line of the width goes into the next; a name that is wider is cut.

    Examples:
        >>> legend(np.zeros((8, 200, 3), np.uint8), ["round", "long"], np.eye(2, 3)).shape
        (30, 200, 3)
    """
    width = picture.shape[1]
    rows, x = [np.full((BAR, width, 3), 30, np.uint8)], 4
    for name, color in zip(names, np.asarray(colors).tolist(), strict=True):
        text = name if name.isascii() and name.isprintable() else ascii(name)[1:-1]
        room = 20 + cv2.getTextSize(text, FONT, 0.45, 1)[0][0]
        if x > 4 and x + room > width:
            rows.append(np.full((BAR, width, 3), 30, np.uint8))
            x = 4
        cv2.rectangle(rows[-1], (x, 5), (x + 11, 16), [round(value) for value in color], cv2.FILLED)
        cv2.putText(rows[-1], text, (x + 15, 15), FONT, 0.45, (255, 255, 255), 1, cv2.LINE_AA)
        x += room + 8
    return np.vstack([picture, *rows])


def grid(pictures: Sequence[np.ndarray], columns: int) -> np.ndarray:
    """Pictures (H, W, 3) uint8, of any sizes, row by row on one page; each in the top left of its place.

    Examples:
        >>> pictures = [np.zeros((10, 20, 3), np.uint8)] * 3
        >>> grid(pictures, columns=2).shape
        (26, 46, 3)
    """
    if not pictures or columns < 1:
        raise ValueError(f"{len(pictures)} pictures in {columns} columns: at least 1 of each is needed")
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    height = max(picture.shape[0] for picture in pictures)
    width = max(picture.shape[1] for picture in pictures)
    page = np.full((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3), 30, np.uint8)
    for i, picture in enumerate(pictures):
        y, x = (i // columns) * (height + GAP), (i % columns) * (width + GAP)
        page[y : y + picture.shape[0], x : x + picture.shape[1]] = picture
    return page


def fit(picture: np.ndarray, size: int) -> np.ndarray:
    """A picture (H, W, 3) shrunk to ``size`` pixels at most on its longer side."""
    scale = size / max(picture.shape[:2])
    if scale >= 1:
        return picture
    height, width = (max(round(side * scale), 1) for side in picture.shape[:2])
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)


def encode_picture(picture: np.ndarray, suffix: str = ".png") -> bytes:
    """An RGB uint8 picture (H, W, 3) as a file in the format of ``suffix``.

    Raises:
        ValueError: the format cannot hold it.
    """
    written, data = cv2.imencode(suffix, picture[..., ::-1])
    if not written:
        raise ValueError(f"a picture of shape {picture.shape} cannot be written as {suffix or 'no format'}")
    return data.tobytes()


def save_picture(path: str | Path, picture: np.ndarray) -> None:
    """Write an RGB uint8 picture (H, W, 3), as PNG or what the suffix says, whole or not at all."""
    try:
        data = encode_picture(picture, Path(path).suffix)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    with atomic_path(path) as tmp:
        tmp.write_bytes(data)
