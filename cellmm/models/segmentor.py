"""The one model: an encoder, a decoder and a dict of heads."""

import difflib
import logging
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from mmengine.logging import print_log
from mmengine.model import BaseModel
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from cellmm.checks import check_whole
from cellmm.errors import CellMMError
from cellmm.models.head_inputs import Features, HeadInputs
from cellmm.models.layers import CheckpointedSequential
from cellmm.models.limits import REACHED, LimitLog
from cellmm.models.postprocess.map_average import MapAverage
from cellmm.models.postprocess.mask_windows import MaskWindows
from cellmm.models.postprocess.original_frame import map_in_original_frame
from cellmm.models.postprocess.tiles import cut_into_tiles
from cellmm.models.tiled_prediction import TiledInstances, in_original_frame, on_image
from cellmm.registry import MODELS, TASK_UTILS
from cellmm.structures import CellSample


@MODELS.register_module()
class CellSegmentor(BaseModel):
    """Encoder -> decoder -> heads.

    Every head has ``forward(features)`` and ``loss(features, samples) -> dict``; then either
    ``predict(features, samples) -> list[InstanceData]`` or, a map head, ``target``, the name of its map, and
    ``predict_maps(features) -> (B, h, w)``. The losses of all heads are added; where there are several heads,
    their names come before the losses' names. Instances come from the head ``instance_head``, or from the
    maps by ``postprocess``.

    With ParallelDecoders the config of a head may say which decoder it ``reads``, or a list of them whose
    maps are concatenated level by level; else it reads the decoder of its own name.

    ``forward(inputs, data_samples, mode)``: ``'loss'`` gives a dict of losses, ``'predict'`` the samples with
    ``pred_instances`` (RLE masks) and, by map heads, ``pred_semantic`` (probabilities), both in the original
    frame, ``'tensor'`` the raw output of each head.

    Args:
        encoder, decoder, data_preprocessor: configs.
        heads: config of each head by its name.
        instance_head: the head whose ``predict`` gives the instances; None: none does.
        channels_last: keep the convolutions' weights in channels_last order.
        tile: predict larger images in tiles of this many pixels a side; None: whole. An instance belongs to
            the tile in whose core its point or centroid lies; maps are averaged where tiles overlap.
        tile_overlap: pixels that neighbouring tiles share, more than the longest cell, or it may be cut; at
            most half of ``tile``. Both are rounded up to multiples of the network's coarsest stride.
        recompute: names of convolution stacks (``encoder.levels.0``, say) whose activations are computed
            again when gradients are: less memory, up to a third more time.
        postprocess: config of what makes instances of the maps of one image, such as SeededWatershed.
    """

    def __init__(
        self,
        encoder: dict,
        decoder: dict,
        heads: dict,
        data_preprocessor: dict,
        instance_head: str | None = "instances",
        channels_last: bool = False,
        tile: int | None = None,
        tile_overlap: int = 0,
        postprocess: dict | None = None,
        recompute: Sequence[str] = (),
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(MODELS.build(data_preprocessor), init_cfg)
        if postprocess is None and instance_head is not None and instance_head not in heads:
            raise CellMMError(
                f"instance_head {instance_head!r} is not among the heads {sorted(heads)}; set it to one of "
                "them, or to None if none gives instances"
            )
        self.encoder = MODELS.build(encoder)
        self.decoder = MODELS.build(
            dict(decoder, in_channels=decoder.get("in_channels", self.encoder.out_channels))
        )
        self.head_inputs = HeadInputs(
            self.decoder.out_channels, {name: head.get("reads") for name, head in heads.items()}
        )
        self.heads = nn.ModuleDict()
        for name, head in heads.items():
            head = {key: value for key, value in head.items() if key != "reads"}
            head.setdefault("in_channels", self.head_inputs.channels(name))
            self.heads[name] = MODELS.build(head)
        self.map_heads = self._find_map_heads()
        self.postprocess = None if postprocess is None else TASK_UTILS.build(postprocess)
        self.instance_head = self._check_instance_head(instance_head)
        check_whole(1, tile=tile)
        if tile is not None and not 0 <= tile_overlap <= tile / 2:
            raise CellMMError(f"tile_overlap must be 0 to half of tile, {tile}: got {tile_overlap}")
        self.tile_step = getattr(self.encoder, "coarsest_stride", getattr(self.encoder, "stride", 1))
        self.margin = getattr(self._instances_from, "margin", 0)
        if tile is not None and tile_overlap < 2 * self.margin:
            raise CellMMError(
                f"tile_overlap must be {2 * self.margin} and the length of a cell or more, got "
                f"{tile_overlap}: without padding the network loses {self.margin} px at each side of a tile"
            )
        if tile is not None and tile_overlap > 0 and tile <= self.tile_step:
            raise CellMMError(
                f"model.tile {tile} and model.tile_overlap {tile_overlap} are both rounded up to "
                f"{self.tile_step} px, the coarsest stride of the network: take tiles of "
                f"{2 * self.tile_step} px or more, or an overlap of 0"
            )
        self.tile, self.tile_overlap = tile, tile_overlap
        self._limits = LimitLog()
        self._recompute(recompute)
        if channels_last:
            self.to(memory_format=torch.channels_last)

    def train(self, mode: bool = True) -> "CellSegmentor":
        """As of nn.Module; each validation names its images with warnings anew."""
        if mode:
            self._limits.reset()
        return super().train(mode)

    @property
    def _instances_from(self) -> nn.Module | None:
        return None if self.instance_head is None else self.heads[self.instance_head]

    def _find_map_heads(self) -> dict[str, str]:
        """{target: name} of the heads that give maps."""
        found: dict[str, str] = {}
        for name, head in self.heads.items():
            if hasattr(head, "predict_maps"):
                if head.target in found:
                    raise CellMMError(
                        f"model.heads.{name}.target: {head.target!r} is that of {found[head.target]} already"
                    )
                found[head.target] = name
        return found

    def _check_instance_head(self, name: str | None) -> str | None:
        if self.postprocess is None:
            if name is not None and not hasattr(self.heads[name], "predict"):
                raise CellMMError(
                    f"instance_head {name!r} is a {type(self.heads[name]).__name__}, which gives no "
                    "instances; set it to None, or set postprocess if they come from the maps"
                )
            for attribute in ("stride", "mask_thr") if name is not None else ():
                if not hasattr(self.heads[name], attribute):
                    raise CellMMError(
                        f"model.heads.{name}: {type(self.heads[name]).__name__} has no {attribute}, by which "
                        f"its masks are made; set self.{attribute} in its __init__"
                    )
            return name
        if name in self.heads and hasattr(self.heads[name], "predict"):
            raise CellMMError(
                f"model.postprocess: instances come from the head {name!r} already; set postprocess or "
                "instance_head to None"
            )
        for target in getattr(self.postprocess, "needs_maps", ()):
            if target not in self.map_heads:
                raise CellMMError(
                    f"model.postprocess: {type(self.postprocess).__name__} needs a map {target!r}, but the "
                    f"heads give {sorted(self.map_heads)}; add a SemanticHead with target={target!r}"
                )
        if len({self._map_stride(target) for target in self.map_heads}) > 1:
            raise CellMMError("model.postprocess: the heads that give maps must have one stride")
        return None

    def _map_stride(self, target: str) -> int:
        return self.heads[self.map_heads[target]].stride

    def _recompute(self, names: Sequence[str]) -> None:
        able = {name: one for name, one in self.named_modules() if isinstance(one, CheckpointedSequential)}
        for name in names:
            if name not in able:
                near = difflib.get_close_matches(name, able, 1, 0)
                raise CellMMError(
                    f"model.recompute: no stack of convolutions {name!r}; did you mean {near[0]}?"
                )
            able[name].recompute = True

    def extract(self, inputs: Tensor) -> Features:
        """(B, C, H, W) -> the decoder's maps, finest first; by name with ParallelDecoders."""
        return self.decoder(self.encoder(inputs))

    def forward(
        self, inputs: Tensor, data_samples: list[CellSample] | None = None, mode: str = "tensor"
    ) -> dict | list[CellSample]:
        if mode == "predict":
            return self._predict(inputs, data_samples)
        features = self.extract(inputs)
        if mode == "loss":
            losses = {
                name: head.loss(self.head_inputs.features(name, features), data_samples)
                for name, head in self.heads.items()
            }
            if len(losses) == 1:
                return next(iter(losses.values()))
            return {f"{name}.{key}": value for name, part in losses.items() for key, value in part.items()}
        if mode == "tensor":
            return {
                name: head(self.head_inputs.features(name, features)) for name, head in self.heads.items()
            }
        raise ValueError(f"mode must be 'loss', 'predict' or 'tensor', got {mode!r}")

    def _predict(self, inputs: Tensor, samples: list[CellSample]) -> list[CellSample]:
        head, shape = self._instances_from, inputs.shape[-2:]
        if self.tile is not None and max(shape) > self.tile:
            for image, sample in zip(inputs.split(1), samples, strict=True):
                self._predict_tiles(image, sample)
            return samples
        features = self.extract(inputs)
        maps = self._maps(features, shape)
        for i, sample in enumerate(samples):
            self._write_maps({target: probs[i] for target, probs in maps.items()}, sample)
        if head is not None:
            found = head.predict(self.head_inputs.features(self.instance_head, features), samples)
            for sample, instances in zip(samples, found, strict=True):
                windows = MaskWindows.of(instances, shape, head.stride)
                index = on_image(windows, sample)
                sample.pred_instances = in_original_frame(windows, instances, sample, index, head.mask_thr)
                self._limits.say(sample.get("img_path"), instances.get(REACHED, {}))
        return samples

    def _predict_tiles(self, image: Tensor, sample: CellSample) -> None:
        """One image (1, C, H, W), one tile after the other in the network."""
        head, step = self._instances_from, self.tile_step
        tile_size, overlap, *own = (n + -n % step for n in (self.tile, self.tile_overlap, *sample.img_shape))
        image = image[..., : own[0], : own[1]]  # without what the batch's largest image added
        shape = image.shape[-2:]
        tiles = cut_into_tiles(shape, tile_size, overlap)
        cells = TiledInstances(head, sample, tiles, shape, overlap)
        strides = {target: self._map_stride(target) for target in self.map_heads}
        maps = {target: MapAverage([-(-n // stride) for n in shape]) for target, stride in strides.items()}
        for tile in tiles:
            part = image[..., tile.top : tile.bottom, tile.left : tile.right]
            features = self.extract(part)
            for target, probs in self._maps(features, part.shape[-2:]).items():
                maps[target].add(probs[0], tile.top // strides[target], tile.left // strides[target])
            if head is not None:
                cells.add(head.predict(self.head_inputs.features(self.instance_head, features), [sample])[0])
        self._write_maps({target: maps.pop(target).mean() for target in list(maps)}, sample)
        if head is not None:
            sample.pred_instances = cells.result()
        self._limits.say(sample.get("img_path"), cells.reached)
        if cells.num_cut:
            print_log(
                f"{sample.get('img_path')}: {cells.num_cut} cells end at the border of a tile and may be "
                f"cut; set tile_overlap (now {self.tile_overlap} px) to the length of the longest cell or "
                "more",
                logger="current",
                level=logging.WARNING,
            )

    def _maps(self, features: Features, shape: Sequence[int]) -> dict[str, np.ndarray]:
        """{target: probabilities, float32 (B, h, w)} of inputs of ``shape`` (H, W)."""
        maps = {}
        for target, name in self.map_heads.items():
            head = self.heads[name]
            probs = (
                head.predict_maps(self.head_inputs.features(name, features)).detach().float().cpu().numpy()
            )
            if probs.shape[1:] != tuple(-(-side // head.stride) for side in shape):
                raise CellMMError(
                    f"model.heads.{name}.stride: {head.stride}, but {tuple(shape)} pixels give a map of "
                    f"{probs.shape[1:]}; set it to the stride of the decoder's finest map"
                )
            maps[target] = probs
        return maps

    def _write_maps(self, maps: Mapping[str, np.ndarray], sample: CellSample) -> None:
        """``pred_semantic`` and, by the postprocess, ``pred_instances`` from the maps (h, w) of one image."""
        if not maps:
            return
        own, written = {}, {}
        for target, probs in maps.items():
            stride = self._map_stride(target)
            rows, cols = (-(-side // stride) for side in sample.img_shape)  # without the padding
            own[target] = probs[:rows, :cols]
            frame = (stride, sample.img_shape, sample.to_original, sample.ori_shape)
            written[target] = torch.from_numpy(map_in_original_frame(own[target], *frame))
        sample.pred_semantic = BaseDataElement(**written)
        if self.postprocess is not None:
            found = self.postprocess(own)
            windows = MaskWindows.of(found, sample.img_shape, self._map_stride(next(iter(maps))))
            index = on_image(windows, sample)
            sample.pred_instances = in_original_frame(
                windows, found, sample, index, self.postprocess.mask_thr
            )
