"""What DiskMask should learn of an image: the disks on its feature map, and the cells in a window of it."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from cellmm.errors import CellMMError
from cellmm.models.heads.class_check import check_labels
from cellmm.models.layers.pixel_grid import PixelGrid
from cellmm.structures import CellSample


class ImageTargets:
    """The truth of one image on the grid of the feature map.

    Args:
        sample: with what ReferencePoints and DiskTargets write.
        grid: where the map's pixels lie in the image.
        shape: (h, w) of the map.
        num_classes: classes of cells that the head knows.

    Attributes:
        disks: id of the cell (from 1) whose disk covers each pixel, 0 for none: int (h, w).
        classes: class of that cell, from 1, 0 for none: int64 (h, w).
        weight: how much each pixel of the disk logits counts: float (h, w).

    Raises:
        CellMMError: disks of another stride, or a class that the head does not have.
    """

    def __init__(
        self, sample: CellSample, grid: PixelGrid, shape: Sequence[int], num_classes: int = 1
    ) -> None:
        self._sample, self._grid, self._shape = sample, grid, tuple(shape)
        self._check_disks()
        labels = sample.gt_instances.labels
        check_labels(labels, num_classes, sample)
        first = (grid.origin // grid.stride,) * 2
        self.disks = crop(sample.gt_disks, first, shape)
        self.classes = torch.cat([labels.new_zeros(1), labels + 1])[self.disks.long()]
        self.weight = crop(sample.gt_disk_weight, first, shape)

    def _check_disks(self) -> None:
        image, stride = self._sample.gt_layers.shape[-2:], self._grid.stride
        if self._sample.gt_disks.shape != tuple(-(-side // stride) for side in image):
            raise CellMMError(
                f"{self._sample.get('img_path')}: disks of {tuple(self._sample.gt_disks.shape)} pixels for "
                f"an image of {tuple(image)}: set stride={stride} in ReferencePoints, as the model has it"
            )

    @property
    def points(self) -> Tensor:
        """Reference point of each cell on the map, (row, column), nan for cells without a disk: (M, 2)."""
        return (self._sample.gt_points - self._grid.origin + 0.5) / self._grid.stride - 0.5

    @property
    def ids(self) -> Tensor:
        """Ids (from 1) of the cells that have a disk on the map, int64, rising."""
        ids = self.disks.unique().long()
        return ids[ids > 0]

    def own_pixels(self) -> Tensor:
        """Id of the only cell at each pixel, 0 where there are none or several: int (h, w)."""
        window = self.window((0, 0), self._shape)
        stride = self._grid.stride
        return own_pixels(window.layers[:, ::stride, ::stride])

    def window(self, first: Sequence[int], shape: Sequence[int]) -> "WindowTargets":
        """The cells in a window of ``shape`` (h, w) from pixel ``first`` of the map on."""
        stride = self._grid.stride
        pixel = [stride * start + self._grid.origin for start in first]
        size = tuple(stride * side for side in shape)
        layers = crop(self._sample.gt_layers, pixel, size)
        ignore = torch.zeros(size, dtype=torch.bool, device=layers.device)
        if "ignore" in self._sample:
            ignore = crop(self._sample.ignore, pixel, size)
            layers = layers.masked_fill(ignore, 0)
        learned = (F.max_pool2d(ignore[None].float(), stride)[0] == 0).float()
        return WindowTargets(layers, learned, stride)


class WindowTargets:
    """The cells in a window of h x w pixels of the map, at the ``stride`` of the map.

    Attributes:
        layers: ids of the cells in pixels of the image, 0 where ignored: int (L, stride h, stride w).
        learned: 1 where a pixel of the map is learned, 0 where any of it is ignored: float (h, w).
    """

    def __init__(self, layers: Tensor, learned: Tensor, stride: int) -> None:
        self.layers, self.learned, self.stride = layers, learned, stride

    def union(self, ids: Tensor) -> Tensor:
        """Share of each pixel that any of the cells ``ids`` covers: float (h, w)."""
        mask = torch.isin(self.layers, ids.to(self.layers.dtype)).any(0).float()
        return mask if self.stride == 1 else F.avg_pool2d(mask[None], self.stride)[0]

    def cells(self, ids: Tensor) -> Tensor:
        """Share of each pixel that each of the cells ``ids`` covers: float (n, h, w)."""
        masks = (self.layers[None] == ids[:, None, None, None]).any(1).float()
        return masks if self.stride == 1 else F.avg_pool2d(masks[:, None], self.stride)[:, 0]

    def best_iou(self, mask: Tensor) -> Tensor:
        """IoU of the mask, bool (h, w), with the cell that it fits best; ignored pixels do not count."""
        ids = self.layers.unique()
        ids = ids[ids > 0]
        if not len(ids):
            return self.learned.new_zeros(())
        pixels = (mask.float() * self.learned).flatten()
        cells = (self.cells(ids) >= 0.5).flatten(1).float()
        shared = cells @ pixels
        return (shared / (cells.sum(1) + pixels.sum() - shared).clamp(min=1)).max()


def crop(x: Tensor, first: Sequence[int], size: Sequence[int], fill: float = 0) -> Tensor:
    """(..., H, W) -> (..., h, w) from pixel ``first`` on; ``fill`` outside of ``x``."""
    out = x.new_full((*x.shape[:-2], *size), fill)
    low = [max(f, 0) for f in first]
    high = [min(f + s, n) for f, s, n in zip(first, size, x.shape[-2:], strict=True)]
    if low[0] < high[0] and low[1] < high[1]:
        out[..., low[0] - first[0] : high[0] - first[0], low[1] - first[1] : high[1] - first[1]] = x[
            ..., low[0] : high[0], low[1] : high[1]
        ]
    return out


def own_pixels(layers: Tensor) -> Tensor:
    """Id of the only cell at each pixel, 0 where there are none or several: (L, H, W) -> (H, W)."""
    return layers.amax(0) * ((layers > 0).sum(0) == 1)
