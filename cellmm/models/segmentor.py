"""The one model: an encoder, a decoder and a dict of heads."""

import logging

import numpy as np
import torch
from mmengine.logging import print_log
from mmengine.model import BaseModel
from mmengine.structures import InstanceData
from torch import Tensor, nn

from cellmm.errors import CellMMError
from cellmm.models.postprocess.mask_windows import MaskWindows
from cellmm.models.postprocess.original_frame import masks_in_original_frame
from cellmm.models.postprocess.tiles import cut_into_tiles, without_repeats
from cellmm.registry import MODELS
from cellmm.structures import CellSample


@MODELS.register_module()
class CellSegmentor(BaseModel):
    """Encoder -> decoder -> heads.

    Every head has ``forward(features)``, ``loss(features, samples) -> dict`` and ``predict(features, samples)
    -> list[InstanceData]``. The losses of all heads are added; where there are several heads, their names
    come before the losses' names. Instances come from the head ``instance_head``.

    ``forward(inputs, data_samples, mode)``: ``'loss'`` gives a dict of losses, ``'predict'`` the samples with
    ``pred_instances`` (RLE masks in the original frame), ``'tensor'`` the raw output of each head.

    Args:
        encoder, decoder, data_preprocessor: configs.
        heads: config of each head by its name.
        instance_head: the head whose ``predict`` gives the instances.
        channels_last: keep the convolutions' weights in channels_last order.
        tile: predict larger images in tiles of this many pixels a side; None: whole. An instance belongs to
            the tile in whose core its point or centroid lies.
        tile_overlap: pixels that neighbouring tiles share, more than the longest cell, or it may be cut; at
            most half of ``tile``. Both are rounded up to multiples of the network's coarsest stride.
    """

    def __init__(
        self,
        encoder: dict,
        decoder: dict,
        heads: dict,
        data_preprocessor: dict,
        instance_head: str = "instances",
        channels_last: bool = False,
        tile: int | None = None,
        tile_overlap: int = 0,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(MODELS.build(data_preprocessor), init_cfg)
        if instance_head not in heads:
            raise ValueError(f"instance_head {instance_head!r} is not among the heads {sorted(heads)}")
        self.encoder = MODELS.build(encoder)
        self.decoder = MODELS.build(
            dict(decoder, in_channels=decoder.get("in_channels", self.encoder.out_channels))
        )
        self.heads = nn.ModuleDict(
            {
                name: MODELS.build(dict(head, in_channels=head.get("in_channels", self.decoder.out_channels)))
                for name, head in heads.items()
            }
        )
        self.instance_head = instance_head
        if tile is not None and not 0 <= tile_overlap <= tile / 2:
            raise CellMMError(f"tile_overlap must be 0 to half of tile, {tile}: got {tile_overlap}")
        self.tile_step = getattr(self.encoder, "coarsest_stride", getattr(self.encoder, "stride", 1))
        margin = getattr(self.heads[instance_head], "margin", 0)
        if tile is not None and tile_overlap < 2 * margin:
            raise CellMMError(
                f"tile_overlap must be {2 * margin} and the length of a cell or more, got {tile_overlap}: "
                f"without padding the network loses {margin} px at each side of a tile"
            )
        self.tile, self.tile_overlap = tile, tile_overlap
        if channels_last:
            self.to(memory_format=torch.channels_last)

    def extract(self, inputs: Tensor) -> list[Tensor]:
        """(B, C, H, W) -> the decoder's maps, finest first."""
        return self.decoder(self.encoder(inputs))

    def forward(
        self, inputs: Tensor, data_samples: list[CellSample] | None = None, mode: str = "tensor"
    ) -> dict | list[CellSample]:
        if mode == "predict":
            return self._predict(inputs, data_samples)
        features = self.extract(inputs)
        if mode == "loss":
            losses = {name: head.loss(features, data_samples) for name, head in self.heads.items()}
            if len(losses) == 1:
                return next(iter(losses.values()))
            return {f"{name}.{key}": value for name, part in losses.items() for key, value in part.items()}
        if mode == "tensor":
            return {name: head(features) for name, head in self.heads.items()}
        raise ValueError(f"mode must be 'loss', 'predict' or 'tensor', got {mode!r}")

    def _predict(self, inputs: Tensor, samples: list[CellSample]) -> list[CellSample]:
        head, shape = self.heads[self.instance_head], inputs.shape[-2:]
        if self.tile is None or max(shape) <= self.tile:
            found = head.predict(self.extract(inputs), samples)
            for sample, instances in zip(samples, found, strict=True):
                windows = MaskWindows.of(instances, shape, head.stride)
                index = on_image(windows, sample)
                sample.pred_instances = self._in_original_frame(windows, instances, sample, index)
        else:
            for image, sample in zip(inputs.split(1), samples, strict=True):
                sample.pred_instances = self._predict_tiles(image, sample)
        return samples

    def _predict_tiles(self, image: Tensor, sample: CellSample) -> InstanceData:
        """The instances of one image (1, C, H, W), one tile after the other in the network."""
        head, step = self.heads[self.instance_head], self.tile_step
        tile_size, overlap, *own = (n + -n % step for n in (self.tile, self.tile_overlap, *sample.img_shape))
        image = image[..., : own[0], : own[1]]  # without what the batch's largest image added
        shape = image.shape[-2:]
        tiles = cut_into_tiles(shape, tile_size, overlap)
        parts, num_cut = [], 0
        for tile in tiles:
            part = image[..., tile.top : tile.bottom, tile.left : tile.right]
            instances = head.predict(self.extract(part), [sample])[0]
            windows = MaskWindows.of(instances, part.shape[-2:], head.stride)
            windows = windows.in_tile(tile.top, tile.left, shape)
            index = on_image(windows, sample)
            index = index[tile.owns(windows.places(head.mask_thr)[index], slack=overlap / 8)]
            boxes = windows.select(index).boxes(head.mask_thr)
            num_cut += int(tile.cuts(boxes, shape, getattr(head, "margin", 0)).sum())
            parts.append(self._in_original_frame(windows, instances, sample, index))
        if num_cut:
            print_log(
                f"{sample.get('img_path')}: {num_cut} cells end at the border of a tile and may be cut; set "
                f"tile_overlap (now {self.tile_overlap} px) to the length of the longest cell or more",
                logger="current",
                level=logging.WARNING,
            )
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

    def _in_original_frame(
        self, windows: MaskWindows, instances: InstanceData, sample: CellSample, index: np.ndarray
    ) -> InstanceData:
        """RLE masks, scores and labels of those ``index`` of the windows and ``instances``."""
        windows = windows.select(index)
        masks, kept = masks_in_original_frame(
            windows.probs,
            stride=windows.stride,
            img_shape=sample.img_shape,
            to_original=sample.to_original,
            ori_shape=sample.ori_shape,
            mask_thr=self.heads[self.instance_head].mask_thr,
            origins=windows.origins,
            grid_shape=windows.grid_shape,
        )
        kept = index[kept]
        return InstanceData(
            masks=masks, scores=instances.scores.detach().cpu()[kept], labels=instances.labels.cpu()[kept]
        )


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
