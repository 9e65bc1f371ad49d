"""Scenes like images that were measured."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from cellmm.simulation.crowding import Crowd
from cellmm.simulation.grain import draw_grain
from cellmm.simulation.likeness import BLOCK, LOW, REACH, CellLook, ChannelLook, ImageLook, Likeness
from cellmm.simulation.shapes import make_mask
from cellmm.structures import LabelLayers, MaskRuns

VARIATION = 0.15  # of the number of cells of an image, to both sides
JITTER = 0.04  # of sizes of cells, so that no two are the same
SMOOTH = 1.2  # px
OWN = 8  # cells of an image, from which its own shapes are as likely as those of other images


@dataclass(frozen=True)
class LikeScene:
    """A scene like those of a set.

    Args:
        image: (H, W, C) of the dtype of the set.
        cells: N cells, which may overlap.
        name: of the image that it is like.
        unplaced: cells that found no room.
    """

    image: np.ndarray
    cells: LabelLayers
    name: str
    unplaced: int


def simulate_like(like: Likeness, number: int, seed: int = 0) -> LikeScene:
    """Scene ``number`` from 0, like image ``number`` modulo those of the set; its arguments alone decide it.

    Number of cells, size, crowding, background, contrast and noise are those of the one image; shapes are
    those of its cells, and the fewer it has, the more often those of other images.
    """
    rng = np.random.default_rng([seed, number])
    look = like.images[number % len(like.images)]
    flips = tuple(int(axis) for axis in np.flatnonzero(rng.random(2) < 0.5))
    wanted = round(look.cells * rng.uniform(1 - VARIATION, 1 + VARIATION))
    shapes = [shape for image in like.images for shape in image.shapes]
    masks = [_mask(_shape(look, shapes, rng), look.diameter, rng) for _ in range(wanted)]
    margin = max((max(mask.shape) for mask in masks), default=0) + REACH
    frame = tuple(slice(margin, margin + n) for n in look.shape)
    levels = [np.pad(_level(channel, look.shape, flips), margin, mode="edge") for channel in look.channels]
    low, high = look.levels

    def allowed(window: tuple[slice, slice], mask: np.ndarray) -> bool:
        below = levels[0][window][mask]
        return low <= np.percentile(below, LOW) and np.percentile(below, 100 - LOW) <= high

    crowd = Crowd(levels[0].shape, frame, allowed)
    share = wanted / max(look.cells, 1)
    for left, mask in zip(range(len(masks), 0, -1), masks, strict=True):
        most = float(rng.choice(like.overlaps)) if len(like.overlaps) else 0.0
        counts = dict(overlapping=round(share * look.overlapping), touching=round(share * look.touching))
        crowd.add(mask, rng, share=most, left=left, **counts)
    depths = [_depth(mask) for mask in crowd.masks]
    ranks = rng.random(len(depths))  # of cells by their contrast, in all channels
    key = int(rng.integers(2**32))
    images = [
        _channel(look.channels[c], levels[c], crowd, depths, ranks, rng, key) for c in range(len(levels))
    ]
    return LikeScene(
        _as_stored(np.stack(images, axis=2), like),
        _layers(crowd, margin, look.shape),
        look.name,
        wanted - len(depths),
    )


def _shape(look: ImageLook, others: list[CellLook], rng: np.random.Generator) -> CellLook:
    own = look.shapes
    chosen = own if rng.random() < len(own) / (len(own) + OWN) else others
    weights = np.array([cell.weight for cell in chosen])
    return chosen[int(rng.choice(len(chosen), p=weights / weights.sum()))]


def _mask(cell: CellLook, diameter: float, rng: np.random.Generator) -> np.ndarray:
    scale = diameter * np.exp(rng.normal(0, JITTER))
    return make_mask(
        rng,
        length=cell.length * scale,
        width=cell.width * scale,
        area=cell.area * scale**2,
        turn=cell.turn,
        extent=cell.extent,
        roughness=cell.roughness,
    )


def _level(channel: ChannelLook, shape: tuple[int, int], flips: tuple[int, ...]) -> np.ndarray:
    """The background of a channel, float32 (H, W)."""
    coarse = np.flip(np.array(channel.level, np.float32), flips)
    return level_at(coarse, shape)


def level_at(coarse: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """A grid (h, w) of the middles of equal parts of an image, as the image (H, W), linear between them."""
    places = [(np.arange(n) + 0.5) * m / n - 0.5 for n, m in zip(shape, coarse.shape, strict=True)]
    grid = np.meshgrid(*places, indexing="ij")
    level = ndimage.map_coordinates(coarse.astype(np.float32), grid, order=1, mode="nearest")
    return ndimage.gaussian_filter(level, 0.4 * BLOCK, mode="nearest")  # no creases


def _depth(mask: np.ndarray) -> np.ndarray:
    """Distance to the outline in px, negative outside, on a grid wider by REACH; smooth, without steps."""
    wide = np.pad(mask, REACH)
    inside, outside = ndimage.distance_transform_edt(wide), ndimage.distance_transform_edt(~wide)
    return ndimage.gaussian_filter(np.where(wide, inside - 0.5, 0.5 - outside), SMOOTH)


def _channel(
    look: ChannelLook,
    level: np.ndarray,
    crowd: Crowd,
    depths: list[np.ndarray],
    ranks: np.ndarray,
    rng: np.random.Generator,
    key: int,
) -> np.ndarray:
    """Background, what cells add to it or take of it, and noise: float32 of the image."""
    at = np.arange(len(look.profile)) - REACH + 0.5
    profile = np.array([0.0, *look.profile])  # no step where it begins
    at = np.array([at[0] - 1, *at])
    field = np.ones(level.shape, np.float32) if look.absorbs else np.zeros(level.shape, np.float32)
    covered, uneven = np.zeros((2, *level.shape), np.float32)
    bright = max(float(np.mean(look.profile[REACH + 1 :] or look.profile[REACH:])), 1e-6)
    gains = np.interp(ranks, np.linspace(0, 1, len(look.gains)), look.gains)
    for depth, window, gain in zip(depths, crowd.windows, gains, strict=True):
        wide = tuple(slice(part.start - REACH, part.stop + REACH) for part in window)
        part = np.float32(gain) * np.interp(depth, at, profile, left=0.0).astype(np.float32)
        if look.absorbs:
            field[wide] *= np.maximum(1 + part, 0)
        else:
            field[wide] += part
        inside = np.interp(depth, (-1, 1), (0, 1)).astype(np.float32)
        np.maximum(covered[wide], inside, out=covered[wide])
        # what shines is as uneven as it is bright; in transmitted light the rim is as uneven as the middle
        rough = inside if look.absorbs else np.clip(part / bright, 0, 2)
        np.maximum(uneven[wide], rough, out=uneven[wide])
    level, field, covered, uneven = (array[crowd.frame] for array in (level, field, covered, uneven))
    white, *smooth = look.texture
    noise = draw_grain(rng, level.shape, [look.noise[0], 0, 0, 0]) * np.sqrt(1 - covered**2)
    noise += draw_grain(rng, level.shape, [white, 0, 0, 0]) * covered  # of the camera, whatever the cell
    same = np.random.default_rng(key)  # what is smooth is seen in all channels
    noise += draw_grain(same, level.shape, [0, *look.noise[1:]]) * np.sqrt(1 - covered**2)
    noise += draw_grain(same, level.shape, [0, *smooth]) * uneven
    return level * (field + noise) if look.absorbs else level + field + noise


def _layers(crowd: Crowd, margin: int, shape: tuple[int, int]) -> LabelLayers:
    crops, places = [], []
    for mask, window in zip(crowd.masks, crowd.windows, strict=True):
        top, left = (part.start - margin for part in window)
        bottom, right = min(top + mask.shape[0], shape[0]), min(left + mask.shape[1], shape[1])
        crops.append(mask[max(-top, 0) : bottom - top, max(-left, 0) : right - left])
        places.append((max(top, 0), max(left, 0)))
    rles = MaskRuns.from_crops(crops, places, shape).to_rles()
    return LabelLayers.from_rles(rles, shape)


def _as_stored(image: np.ndarray, like: Likeness) -> np.ndarray:
    if like.color == "grey":
        image = np.repeat(image[..., :1], 3, axis=2)
    dtype = np.dtype(like.dtype)
    if dtype.kind == "f":
        return image.astype(dtype)
    return np.clip(np.rint(image), 0, 2**like.bits - 1).astype(dtype)
