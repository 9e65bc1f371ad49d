"""One image's ground truth and predictions on their way through the model."""

import torch
from mmengine.structures import BaseDataElement
from torch import Tensor
from torch.nn import functional as F


class CellSample(BaseDataElement):
    """A BaseDataElement with these fields, each present where it is known.

    - ``gt_layers``: int32 (L, H, W) in the network's frame, ids 1..M; overlapping cells on different layers.
    - ``gt_instances``: InstanceData(labels (M,)).
    - ``ignore`` bool (H, W), ``gt_points`` float32 (M, 2), ``gt_disks`` int32 (h, w) and ``gt_disk_weight``
      float32 (h, w): see docs/concepts/data_flow.md.
    - ``gt_semantic``: BaseDataElement with one tensor (H, W) per map, uint8 of 0 and 1 or float32 in [0, 1]:
      see ``semantic_maps`` and ``BoundaryTargets``.
    - ``gt_proximity``: float32 (H, W) in [0, 1], how likely cells overlap there; see ``ProximityMap``.
    - ``gt_weight``: float32 (H, W), how much each pixel counts in the loss; see ``PixelWeights``.
    - ``gt_center``, ``gt_boundary``, ``gt_distance``: float32 (H, W), ``gt_center_offsets``: float32
      (2, H, W); see ``AuxiliaryMaps``.
    - ``gt_image``, ``pred_image``: float32 (C, H, W) in [-1, 1], the image that an input has to become and
      what it was translated to; see ``PackImagePair`` and ``Pix2Pix``.
    - ``eval_instances``: InstanceData(masks (COCO RLE, original frame), labels, ignore, areas).
    - ``eval_nuclei``: InstanceData(masks), the nucleus of each cell (COCO RLE, original frame), may be empty.
    - ``pred_instances``: InstanceData(masks (COCO RLE, original frame), scores (N,) descending, labels).
    - ``pred_semantic``: BaseDataElement with one float32 CPU tensor (h, w) of probabilities per map, in the
      original frame (``ori_shape``).
    - metainfo: ``img_id``, ``img_path``, ``img_shape``, ``ori_shape``, ``to_original``, ``draw``;
      ``pixel_size``, (y, x) in micrometres or None, ``model_pixel_size``, that of RescaleToPixelSize,
      ``cell_diameter``, that of the cells before RescaleToDiameter, and ``read_options``, which part of the
      file the image is; ``white`` of ``gt_image``, see ``to_counts``.
    """

    def gt_masks(
        self, stride: int = 1, shape: tuple[int, int] | None = None, cells: Tensor | None = None
    ) -> Tensor:
        """The cells' masks, float32 (M, h, w): the share of each stride x stride block that a cell covers.

        ``shape``: pad with background to this (h, w), the size of a map of the padded batch. ``cells``: only
        those of these indices, int64 (M,), in this order.
        """
        layers = self.gt_layers
        ids = torch.arange(1, len(self.gt_instances) + 1, device=layers.device, dtype=layers.dtype)
        ids = ids if cells is None else ids[cells]
        masks = (layers[None] == ids[:, None, None, None]).any(1).float()
        if stride > 1:
            masks = F.avg_pool2d(masks[:, None], stride, ceil_mode=True)[:, 0]
        if shape is not None:
            masks = F.pad(masks, (0, shape[1] - masks.shape[2], 0, shape[0] - masks.shape[1]))
        return masks

    def gt_masks_at(self, pixels: Tensor, stride: int, shape: tuple[int, int]) -> Tensor:
        """``gt_masks(stride, shape).flatten(1)[:, pixels]``, float32 (M, P), without the masks in full."""
        layers = self.gt_layers
        row, col = pixels // shape[1] * stride, pixels % shape[1] * stride
        offsets = torch.arange(stride, device=layers.device)
        row, col = row[:, None, None] + offsets[:, None], col[:, None, None] + offsets  # (P, s, s)
        inside = (row < layers.shape[1]) & (col < layers.shape[2])
        found = layers[:, row.clamp(max=layers.shape[1] - 1), col.clamp(max=layers.shape[2] - 1)] * inside
        ids = torch.arange(1, len(self.gt_instances) + 1, device=layers.device, dtype=layers.dtype)
        covered = (found.flatten(2)[None] == ids[:, None, None, None]).any(1).float().sum(-1)
        return covered / inside.sum((1, 2)).clamp(min=1)
