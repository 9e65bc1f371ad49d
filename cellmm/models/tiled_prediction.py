"""Predict a large image in tiles that overlap, with any function that predicts a part of it."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import torch
from mmengine.structures import InstanceData
from torch import Tensor

from cellmm.checks import check_whole
from cellmm.errors import CellMMError
from cellmm.models.postprocess.map_average import MapAverage
from cellmm.models.postprocess.tiles import Tile, cut_into_tiles, without_repeats
from cellmm.structures import CellSample, PredictedInstances

Maps = Mapping[str, np.ndarray]


@dataclass
class TiledPrediction:
    """What was found in all tiles of an image.

    ``maps``: {name: float32 (h, w)}, the mean of the tiles that cover a pixel. ``instances``: RLE ``masks``
    in the original frame, ``scores``, ``labels``, best first; None: ``predict`` gives none. ``limits``: those
    reached, and the number that they cut in all tiles. ``num_cut``: instances that end at the border of a
    tile.
    """

    maps: dict[str, np.ndarray]
    instances: InstanceData | None
    limits: Counter
    num_cut: int


def check_tiles(tile: int | None, overlap: int, *, step: int, margin: int) -> None:
    """Refuse tiles and overlaps, in pixels, that cannot work; ``tile`` None: images are not cut.

    ``step``: both are rounded up to multiples of it. ``margin``: see predict_in_tiles.
    """
    check_whole(1, tile=tile)
    if tile is None:
        return
    if not 0 <= overlap <= tile / 2:
        raise CellMMError(f"tile_overlap must be 0 to half of tile, {tile}: got {overlap}")
    if overlap < 2 * margin:
        raise CellMMError(
            f"tile_overlap must be {2 * margin} and the length of a cell or more, got {overlap}: without "
            f"padding the network loses {margin} px at each side of a tile"
        )
    if overlap > 0 and tile <= step:
        raise CellMMError(
            f"model.tile {tile} and model.tile_overlap {overlap} are both rounded up to {step} px, what the "
            f"network takes multiples of: take tiles of {2 * step} px or more, or an overlap of 0"
        )


def predict_in_tiles(
    predict: Callable[[Tensor | np.ndarray], tuple[Maps, PredictedInstances | None]],
    image: Tensor | np.ndarray,
    tile: int,
    overlap: int,
    *,
    sample: CellSample | None = None,
    strides: Mapping[str, int] = MappingProxyType({}),
    margin: int = 0,
) -> TiledPrediction:
    """Call ``predict`` on each tile of ``image`` and put the results together.

    An instance belongs to the tile in whose core its point or centroid lies; of two that different tiles
    found in the same place, the better one stays. Only the masks of one tile are held as probabilities.

    Args:
        predict: part (..., h, w) of the image -> ({name: map (h', w') of probabilities}, the instances of the
            part or None).
        image: (..., H, W).
        tile: pixels per side of a tile. A side of the image that is at most as long is not cut.
        overlap: pixels that neighbouring tiles share, at most half of ``tile``; at least the length of the
            longest cell, or it may be cut.
        sample: frame of the image: ``img_shape`` (without padding), ``to_original``, ``ori_shape`` and, if
            known, ``ignore``. None: the image as it is.
        strides: pixels of the image per pixel of a map; 1 for names that are not given. ``tile - overlap``
            and H and W less ``tile`` should be multiples of each.
        margin: pixels at each side of a part in which ``predict`` finds no mask.

    >>> import torch
    >>> from cellmm.structures import PredictedInstances
    >>> def bright(part):
    ...     mask = (part > 0).float()[None]
    ...     found = PredictedInstances(mask, scores=torch.ones(1), labels=torch.zeros(1, dtype=torch.long))
    ...     return {"bright": part.numpy()}, found
    >>> image = torch.zeros(8, 20)
    >>> image[2:5, 8:11] = 1
    >>> result = predict_in_tiles(bright, image, tile=12, overlap=6)
    >>> len(result.instances), float(result.maps["bright"].sum())
    (1, 9.0)
    """
    shape = tuple(image.shape[-2:])
    if sample is None:
        frame = dict(img_shape=shape, ori_shape=shape, to_original=np.eye(3))
        sample = CellSample(metainfo=frame)
    tiles = cut_into_tiles(shape, tile, overlap)
    averages: dict[str, MapAverage] = {}
    parts: list[InstanceData] = []
    limits, num_cut = Counter(), 0
    for place in tiles:
        maps, found = predict(image[..., place.top : place.bottom, place.left : place.right])
        for name, probs in maps.items():
            stride = strides.get(name, 1)
            if name not in averages:
                averages[name] = MapAverage([-(-side // stride) for side in shape])
            averages[name].add(probs, place.top // stride, place.left // stride)
        if found is not None:
            limits.update(found.limits)
            found = found.in_tile(place.top, place.left, shape).on_image(sample)
            found = found.select(place.owns(found.places(), slack=overlap / 8))
            num_cut += int(place.cuts(found.boxes(), shape, margin).sum())
            parts.append(found.in_original_frame(sample))
    return TiledPrediction(
        maps={name: averages.pop(name).mean() for name in list(averages)},
        instances=_together(tiles, parts) if parts else None,
        limits=limits,
        num_cut=num_cut,
    )


def _together(tiles: Sequence[Tile], parts: Sequence[InstanceData]) -> InstanceData:
    """The instances of all tiles, best first; of those that two tiles found, the better."""
    scores = torch.cat([part.scores for part in parts])
    stays = without_repeats(tiles, [part.masks for part in parts], scores.numpy())
    order = scores.argsort(descending=True, stable=True).numpy()
    order = order[stays[order]]
    masks = [mask for part in parts for mask in part.masks]
    return InstanceData(
        masks=[masks[i] for i in order],
        scores=scores[order],
        labels=torch.cat([part.labels for part in parts])[order],
    )
