"""Predict a large image in tiles that overlap, with any function that predicts a part of it."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import torch
from mmengine.structures import InstanceData
from torch import Tensor

from cellmm.checks import check_whole
from cellmm.errors import CellMMError
from cellmm.models.postprocess.join_tiles import TileCells, join_tiles
from cellmm.models.postprocess.look_again import Box, LookedAgain, WindowRule, best_first, look_again
from cellmm.models.postprocess.map_average import MapAverage
from cellmm.models.postprocess.tiles import Tile, TileGrid
from cellmm.structures import CellSample, PredictedInstances

Maps = Mapping[str, np.ndarray]


@dataclass
class TiledPrediction:
    """What was found in all tiles of an image.

    ``maps``: {name: float32 (h, w)}, the mean of the tiles that cover a pixel. ``instances``: RLE ``masks``
    in the original frame, ``scores``, ``labels``, best first; None: ``predict`` gives none. ``limits``: those
    reached, and the number that they cut in all tiles. ``num_again``: windows in which instances that the
    tiles cut were looked for again. ``num_united``: instances too long for that, made of their pieces.
    """

    maps: dict[str, np.ndarray]
    instances: InstanceData | None
    limits: Counter
    num_again: int = 0
    num_united: int = 0


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
    step: int = 1,
) -> TiledPrediction:
    """Call ``predict`` on each tile of ``image`` and put the results together.

    What two tiles found of one instance is joined, see ``join_tiles``. Instances that no tile saw whole are
    looked for again in a window around them, see ``look_again``. Only the masks of one tile are held as
    probabilities.

    Args:
        predict: part (..., h, w) of the image -> ({name: map (h', w') of probabilities}, the instances of the
            part or None).
        image: (..., H, W).
        tile: pixels per side of a tile. A side of the image that is at most as long is not cut.
        overlap: pixels that neighbouring tiles share, at most half of ``tile``. Instances that are longer
            cost a second look.
        sample: frame of the image: ``img_shape`` (without padding), ``to_original``, ``ori_shape`` and, if
            known, ``ignore``. None: the image as it is.
        strides: pixels of the image per pixel of a map; 1 for names that are not given. ``step``,
            ``tile - overlap`` and H and W less ``tile`` should be multiples of each.
        margin: pixels at each side of a part in which ``predict`` finds no mask.
        step: windows start at multiples of it.

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
    grid = TileGrid.cut(shape, tile, overlap)
    averages: dict[str, MapAverage] = {}
    parts = _Parts(sample, shape, margin)
    for place in grid.tiles():
        maps, found = predict(image[..., place.top : place.bottom, place.left : place.right])
        for name, probs in maps.items():
            stride = strides.get(name, 1)
            if name not in averages:
                averages[name] = MapAverage([-(-side // stride) for side in shape])
            averages[name].add(probs, place.top // stride, place.left // stride)
        if found is not None:
            parts.add(place, found)
    averaged = {name: averages.pop(name).mean() for name in list(averages)}
    if not parts.cells:
        return TiledPrediction(averaged, None, Counter())

    def look(box: Box) -> PredictedInstances:
        return predict(image[..., box[0] : box[2], box[1] : box[3]])[1]

    instances, again = _join(grid, parts, look, step)
    return TiledPrediction(averaged, instances, parts.limits, again.num_windows, len(again.united))


class _Parts:
    """The instances of each part of an image: on the map, where they are joined, and in the file."""

    def __init__(self, sample: CellSample, shape: tuple[int, int], margin: int) -> None:
        self.sample, self.shape, self.margin = sample, shape, margin
        self.stride, self.limits = 1, Counter()
        self.cells: list[TileCells] = []
        self.in_file: list[list[dict]] = []

    def add(self, place: Tile, found: PredictedInstances) -> TileCells:
        if found.stride != int(found.stride) or (self.cells and found.stride != self.stride):
            raise CellMMError(f"masks of tiles have stride {found.stride}: one whole number is needed")
        self.stride = int(found.stride)
        self.limits.update(found.limits)
        found = found.in_tile(place.top, place.left, self.shape).on_image(self.sample)
        in_file = found.in_original_frame(self.sample)
        found = found.select(in_file.index.numpy())
        on_map = Tile(*(-(-side // self.stride) for side in place.box))
        cells = TileCells.of(
            on_map,
            found.mask_runs(),
            found.scores.double().numpy(),
            found.labels.numpy(),
            margin=-(-self.margin // self.stride),
        )
        self.cells.append(cells)
        self.in_file.append(in_file.masks)
        return cells


def _join(
    grid: TileGrid, parts: _Parts, predict: Callable[[Box], PredictedInstances], step: int
) -> tuple[InstanceData, LookedAgain]:
    """The instances of all tiles, best first, and what was done for those that the tiles cut."""
    stride, per_row = parts.stride, len(grid.cols)
    grid, margin = grid.at_stride(stride), -(-parts.margin // stride)
    cells, in_file = list(parts.cells), list(parts.in_file)
    joined = join_tiles(grid, lambda row: cells[row * per_row : (row + 1) * per_row], margin)
    kept = TileCells.concatenate([part.select(stay) for part, stay in zip(cells, joined.stays, strict=True)])
    rles = [part[i] for part, stay in zip(in_file, joined.stays, strict=True) for i in np.flatnonzero(stay)]
    pieces = TileCells.concatenate(
        [kept.select([]), *(cells[tile].select([i]) for tile, i, _ in joined.orphans)]
    )
    windows: dict[Box, list[dict]] = {}

    def look(box: Box) -> TileCells:
        top, left, *end = (side * stride for side in box)
        place = Tile(top, left, *np.minimum(end, parts.shape).tolist())
        found = parts.add(place, predict(place.box))
        windows[box] = parts.in_file[-1]
        return found

    rule = WindowRule.of(grid, max(step // stride, 1), margin)
    again = look_again(kept, pieces, joined.orphans[:, 2], look, rule)
    rles += [windows[box][i] for box, index in again.found.items() for i in index]
    united = _as_predicted(again.united, stride).in_original_frame(parts.sample)
    rles += united.masks
    every = TileCells.concatenate([kept, again.cells, again.united.select(united.index.numpy())])
    order = best_first(every)
    return InstanceData(
        masks=[rles[i] for i in order],
        scores=torch.from_numpy(every.scores[order]),
        labels=torch.from_numpy(every.labels[order]),
    ), again


def _as_predicted(cells: TileCells, stride: int) -> PredictedInstances:
    crops = [cells.masks.crop(i) for i in range(len(cells))]
    return PredictedInstances(
        probs=[crop.astype(np.float32) for crop, _ in crops],
        scores=torch.from_numpy(cells.scores),
        labels=torch.from_numpy(cells.labels),
        stride=stride,
        origins=np.array([corner for _, corner in crops], np.int64).reshape(-1, 2),
        grid_shape=cells.masks.shape,
    )
