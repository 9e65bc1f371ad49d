"""What a head finds, whole or tile by tile, as instances in the original frame."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
from mmengine.structures import InstanceData
from torch import nn

from cellmm.models.limits import REACHED
from cellmm.models.postprocess.mask_windows import MaskWindows
from cellmm.models.postprocess.original_frame import masks_in_original_frame
from cellmm.models.postprocess.tiles import Tile, without_repeats
from cellmm.structures import CellSample


def on_image(windows: MaskWindows, sample: CellSample) -> np.ndarray:
    """Indices of the windows that do not belong to a place outside of the image: in padding or mirrored."""
    index = np.arange(len(windows.probs))
    if windows.points is None:
        return index
    place = np.rint(windows.points).astype(np.int64)
    inside = ((place >= 0) & (place < sample.img_shape)).all(1)
    index, place = index[inside], place[inside]
    if "ignore" in sample:
        index = index[~sample.ignore.cpu().numpy()[place[:, 0], place[:, 1]]]
    return index


def in_original_frame(
    windows: MaskWindows, instances: InstanceData, sample: CellSample, index: np.ndarray, mask_thr: float
) -> InstanceData:
    """RLE masks, scores and labels of those ``index`` of the windows and ``instances``."""
    windows = windows.select(index)
    masks, kept = masks_in_original_frame(
        windows.probs,
        stride=windows.stride,
        img_shape=sample.img_shape,
        to_original=sample.to_original,
        ori_shape=sample.ori_shape,
        mask_thr=mask_thr,
        origins=windows.origins,
        grid_shape=windows.grid_shape,
    )
    kept = index[kept]
    return InstanceData(
        masks=masks, scores=instances.scores.detach().cpu()[kept], labels=instances.labels.cpu()[kept]
    )


class TiledInstances:
    """The instances of one image, added tile by tile: each belongs to the tile in whose core it lies.

    Args:
        head: whose ``predict`` gives them.
        sample: of the image.
        tiles: all tiles of the image.
        shape: (h, w) that the tiles are cut from.
        overlap: pixels that neighbouring tiles share.

    ``num_cut``: how many so far end at the border of a tile; ``reached``: limits that the head reached, and
    the number that they cut in all tiles.
    """

    def __init__(
        self, head: nn.Module, sample: CellSample, tiles: Sequence[Tile], shape: Sequence[int], overlap: int
    ) -> None:
        self.head, self.sample, self.tiles = head, sample, tiles
        self.shape, self.overlap = shape, overlap
        self.num_cut = 0
        self.reached: Counter = Counter()
        self._parts: list[InstanceData] = []

    def add(self, instances: InstanceData) -> None:
        """What the head predicts in the next of the tiles."""
        head, tile = self.head, self.tiles[len(self._parts)]
        self.reached.update(instances.get(REACHED, {}))
        size = (tile.bottom - tile.top, tile.right - tile.left)
        windows = MaskWindows.of(instances, size, head.stride).in_tile(tile.top, tile.left, self.shape)
        index = on_image(windows, self.sample)
        index = index[tile.owns(windows.places(head.mask_thr)[index], slack=self.overlap / 8)]
        boxes = windows.select(index).boxes(head.mask_thr)
        self.num_cut += int(tile.cuts(boxes, self.shape, getattr(head, "margin", 0)).sum())
        self._parts.append(in_original_frame(windows, instances, self.sample, index, head.mask_thr))

    def result(self) -> InstanceData:
        """All of them, best first; of those that two tiles found, the better."""
        parts = self._parts
        scores = torch.cat([part.scores for part in parts])
        stays = without_repeats(self.tiles, [part.masks for part in parts], scores.numpy())
        order = scores.argsort(descending=True, stable=True).numpy()
        order = order[stays[order]]
        masks = [mask for part in parts for mask in part.masks]
        return InstanceData(
            masks=[masks[i] for i in order],
            scores=scores[order],
            labels=torch.cat([part.labels for part in parts])[order],
        )
