"""Images whose cells are known, drawn from a random generator."""

from pathlib import Path

import cv2
import numpy as np
import tifffile

from cellmm.structures import rle


def draw_cells(rng: np.random.Generator, shape: tuple[int, int], most: int) -> list[np.ndarray]:
    """Masks of squares of 5x5 (class 0) and 7x7 px (class 1), 3 px or more apart."""
    places = [(y, x) for y in range(0, shape[0] - 6, 10) for x in range(0, shape[1] - 6, 10)]
    masks = []
    for i in rng.permutation(len(places))[: rng.integers(0, most + 1)]:
        (y, x), size = places[i], rng.choice([5, 7])
        masks.append(np.zeros(shape, bool))
        masks[-1][y : y + size, x : x + size] = True
    return masks


def draw_image(rng: np.random.Generator, masks: list[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """uint8, uint16 or float32: 50 with little noise, cells 200; times 16 beyond 8 bit.

    Without cells there is no noise: normalised by itself it would be as bright as cells.
    """
    image = 50 + rng.integers(0, 3, shape) * bool(masks)
    for mask in masks:
        image[mask] = 200
    dtype = rng.choice([np.uint8, np.uint16, np.float32])
    return (image * (1 if dtype == np.uint8 else 16)).astype(dtype)


def write_image(rng: np.random.Generator, path: Path, image: np.ndarray) -> str:
    """The image in some arrangement and format; what it was."""
    kinds = ["grey", "grey", "grey", "grey", "rgb", "rgba", "page", "planes", "two channels"]
    kind = str(rng.choice(kinds))
    if path.suffix == ".png":
        image = image if image.dtype != np.float32 else image.astype(np.uint16)
        if kind in ("rgb", "rgba"):
            image = np.repeat(image[..., None], 3, axis=2)
            if kind == "rgba":
                image = np.concatenate([image, np.full_like(image[..., :1], np.iinfo(image.dtype).max)], 2)
        assert cv2.imwrite(str(path), image)
        return kind
    options = dict(compression=rng.choice(["zlib", ""]) or None)
    if kind == "planes":
        stack = np.stack([image, image // 2 if image.dtype != np.float32 else image / 2, image])
        tifffile.imwrite(path, stack, photometric="minisblack", metadata=dict(axes="ZYX"), **options)
    elif kind == "two channels":
        tifffile.imwrite(
            path, np.stack([image, image]), photometric="minisblack", metadata=dict(axes="CYX"), **options
        )
    elif kind in ("rgb", "rgba"):
        tifffile.imwrite(path, np.repeat(image[..., None], 3, axis=2), photometric="rgb", **options)
    else:
        tifffile.imwrite(path, image[None] if kind == "page" else image, photometric="minisblack", **options)
    return kind


def same_masks(found: list[dict], masks: list[np.ndarray]) -> bool:
    """Whether the RLEs are these masks, in any order."""
    wanted = {rle.encode_one(mask)["counts"] for mask in masks}
    return len(found) == len(masks) and {cell["counts"] for cell in found} == wanted
