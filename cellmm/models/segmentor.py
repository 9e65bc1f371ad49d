"""The one model: an encoder, a decoder and a dict of heads."""

import contextlib
import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.logging import print_log
from mmengine.model import BaseModel
from torch import Tensor, nn

from cellmm.errors import CellMMError
from cellmm.models.cell_size import scale_to_diameter
from cellmm.models.derive import argument_of, build_derived, from_specs
from cellmm.models.encoders.base import divisor, out_specs
from cellmm.models.feature_spec import FeatureSpec
from cellmm.models.head_inputs import Features, HeadInputs, reads_image
from cellmm.models.heads.base import HeadContract
from cellmm.models.layers.activation_checkpointing import recompute_activations
from cellmm.models.layers.freezing import freeze
from cellmm.models.layers.fused import fold_norms
from cellmm.models.limits import LimitLog
from cellmm.models.looks import Look, check_ensemble, look_at
from cellmm.models.postprocess.score_calibration import ScoreCalibration
from cellmm.models.postprocess.tiles import even_tile
from cellmm.models.predicted_maps import (
    check_postprocess,
    check_refine,
    find_map_heads,
    map_stride,
    maps_in_original_frame,
    predict_maps,
    without_padding,
)
from cellmm.models.tiled_prediction import check_tiles, predict_in_tiles
from cellmm.models.views import views
from cellmm.registry import MODELS, TASK_UTILS
from cellmm.structures import CellSample, PredictedInstances

# channels of the finest map for which channels_last pays: fewer do not fill a processor's vectors of 16
# floats, and more leave little time for the change of order
CHANNELS_LAST = range(16, 64)


@MODELS.register_module()
class CellSegmentor(BaseModel):
    """Encoder -> decoder -> heads.

    The config of a part states nothing that follows from another one. Of the arguments below, the model fills
    in those that the constructor of a part names; a config that states another value is refused.

    - encoder (``encoders.base.Encoder``): ``in_channels``, those of the preprocessor.
    - preprocessor: ``divisor``, by the encoder.
    - decoder (``encoders.base.Decoder``): ``in_specs``, or ``in_channels``, of the encoder's maps.
    - heads (``heads.base``): ``in_specs`` of the maps that a head takes, or ``in_channels``, and ``stride``
      of the finest.

    The losses of all heads are added; with several heads, their names come before the losses' names.
    Instances come from the InstanceHead ``instance_head``, or from the maps of MapHeads by ``postprocess``.

    With ParallelDecoders the config of a head may say which decoder it ``reads``, or a list of them whose
    maps are concatenated level by level; else it reads the decoder of its own name.

    ``forward(inputs, data_samples, mode)``: ``'loss'`` gives a dict of losses, ``'predict'`` the samples with
    ``pred_instances`` (RLE masks) and, by map heads, ``pred_semantic`` (probabilities), both in the original
    frame, ``'tensor'`` the raw output of each head.

    Args:
        encoder, decoder, data_preprocessor: configs.
        heads: config of each head by its name.
        instance_head: the head whose ``predict`` gives the instances; None: none does.
        channels_last: memory order of the convolutions' weights and inputs. None: the model chooses, True
            for 16 to 63 channels of the encoder's finest map, where it is faster on many processors.
        tile: predict larger images in tiles of this many pixels per side; None: whole. See
            ``predict_in_tiles``.
        tile_overlap: pixels that neighbouring tiles share, more than the longest cell, or it may be cut; at
            most half of ``tile``. Both are rounded up to multiples of ``tile_step``.
        activation_checkpointing: names of convolution stacks (``encoder.levels.0``, say) whose activations
            are computed again with the gradients: less memory, up to a third more time.
        frozen: names of parts (``encoder``, ``heads.instances.mask_decoder``) that stay as they are in
            training: their parameters take no gradient, and their batch norms are in eval mode.
        inference_dtype: ``'bfloat16'`` or ``'float16'``: predict with convolutions of this precision
            (autocast), faster on processors that compute in it and slower on others; scores differ by about a
            hundredth. None: as the weights are.
        postprocess: config of what finds instances in the maps of an image, such as SeededWatershed.
        refine: config of what corrects the instances of an image by its maps, such as ForegroundAgreement. It
            comes after the mean of views and models, and in tiles before they are joined.
        calibration: knots of ScoreCalibration, by which the scores of instances say how probable it is that
            they are right: [(0, 0), (0.4, 0.1), (1, 1)], say. They come last, after ``refine``: thresholds
            of a head (``score_thr``, ``nms``) and of ``cell_size`` are of scores as the head gives them,
            those of metrics, pictures and `cellmm predict` of calibrated ones. None: they stay as they are.
        cell_size: config of what finds how large the cells of an image are, such as DiameterFinder. An image
            whose sample has no ``cell_diameter`` is then scaled before it is predicted, as RescaleToDiameter
            would do.
        tta: test-time augmentation: ``'flips'`` predicts 4 views of each image or tile and takes their mean,
            ``'turns'`` 8, see ``views``. None: the image as it is.
        ensemble: configs of further models, which see the same inputs and predict with this one. The mean of
            what all find is taken, see ``look_at``. For prediction only.

    Attributes:
        tile_step: tiles start at multiples of this many pixels: of the encoder's divisor and of its strides.
        view_step: the sides of an input of which views are predicted are multiples of this many pixels.
        margin: pixels at each side of an input in which no mask can lie, without padding in the network.
        even_tiles: an image is cut into as many tiles as ``tile`` asks for, all as small as that allows.
    """

    def __init__(
        self,
        encoder: dict,
        decoder: dict,
        heads: dict,
        data_preprocessor: dict,
        instance_head: str | None = "instances",
        channels_last: bool | None = None,
        tile: int | None = None,
        tile_overlap: int = 0,
        postprocess: dict | None = None,
        refine: dict | None = None,
        calibration: Sequence[Sequence[float]] | None = None,
        cell_size: dict | None = None,
        activation_checkpointing: Sequence[str] = (),
        frozen: Sequence[str] = (),
        inference_dtype: str | None = None,
        tta: str | None = None,
        ensemble: Sequence[dict] = (),
        init_cfg: dict | None = None,
    ) -> None:
        if inference_dtype not in (None, "bfloat16", "float16"):
            raise CellMMError(
                f"model.inference_dtype: {inference_dtype!r} is not a precision to predict in; set it to "
                "'bfloat16', 'float16' or None"
            )
        if postprocess is None and instance_head is not None and instance_head not in heads:
            raise CellMMError(
                f"instance_head {instance_head!r} is not among the heads {sorted(heads)}; set it to one of "
                "them, or to None if none gives instances"
            )
        encoder = build_derived(
            MODELS, encoder, "model.encoder", in_channels=_image_channels(data_preprocessor)
        )
        specs = out_specs(encoder, "model.encoder")
        preprocessor = build_derived(
            MODELS, data_preprocessor, "model.data_preprocessor", divisor=divisor(encoder)
        )
        super().__init__(preprocessor, init_cfg)
        self.encoder = encoder
        self.decoder = build_derived(MODELS, decoder, "model.decoder", **from_specs(specs))
        with_image = [name for name, head in heads.items() if reads_image(head)]
        self.head_inputs = HeadInputs(
            out_specs(self.decoder, "model.decoder"),
            {name: head.get("reads") for name, head in heads.items()},
            with_image,
            FeatureSpec(preprocessor.in_channels) if with_image else None,
        )
        self.heads = nn.ModuleDict()
        for name, head in heads.items():
            inputs = self.head_inputs.specs(name)
            head = {key: value for key, value in head.items() if key != "reads"}
            self.heads[name] = build_derived(
                MODELS, head, f"model.heads.{name}", stride=inputs[0].stride, **from_specs(inputs)
            )
        self.map_heads = find_map_heads(self.heads)
        self.map_strides = {
            target: map_stride(self._out_spec(name), f"model.heads.{name}")
            for target, name in self.map_heads.items()
        }
        self.postprocess = None if postprocess is None else TASK_UTILS.build(postprocess)
        self.cell_size = None if cell_size is None else TASK_UTILS.build(cell_size)
        self.instance_head = self._check_instance_head(instance_head)
        self.views = views(tta)
        self.tile_step = math.lcm(divisor(encoder), *(spec.stride for spec in specs))
        self.margin = 0 if self.instance_head is None else self._out_spec(self.instance_head).origin
        strides = [] if self.instance_head is None else [self._out_spec(self.instance_head).stride]
        self.view_step = math.lcm(divisor(encoder), *strides, *self.map_strides.values())
        self.ensemble = nn.ModuleList(MODELS.build(config) for config in ensemble)
        if ensemble:
            self.map_strides = check_ensemble(self, self.ensemble)
            self.tile_step = math.lcm(self.tile_step, *(model.tile_step for model in self.ensemble))
            self.margin = max(self.margin, *(model.margin for model in self.ensemble))
        self.refine = None if refine is None else TASK_UTILS.build(refine)
        if refine is not None:
            check_refine(self.refine, self.map_strides)
        self.calibration = None if calibration is None else ScoreCalibration(calibration)
        check_tiles(tile, tile_overlap, step=self.tile_step, margin=self.margin)
        self.tile, self.tile_overlap, self.even_tiles = tile, tile_overlap, False
        self._limits, self._fused = LimitLog(), False
        self.inference_dtype = inference_dtype
        recompute_activations(self, activation_checkpointing)
        self.frozen = freeze(self, frozen)
        if channels_last is None:
            channels_last = specs[0].channels in CHANNELS_LAST
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.to(memory_format=self.memory_format)

    def train(self, mode: bool = True) -> "CellSegmentor":
        """As of nn.Module, but frozen parts stay in eval mode; each validation names its images anew."""
        if mode and self._fused:
            raise CellMMError("a model that is fused for inference cannot be trained; build it anew")
        if mode:
            self._limits.reset()
        super().train(mode)
        for name in self.frozen:
            self.get_submodule(name).eval()
        return self

    def fuse_for_inference(self) -> "CellSegmentor":
        """Take the form that predicts fastest, in place: the same results up to rounding.

        Batch norms become part of their convolutions, and every part that has a ``fuse_for_inference()`` of
        its own is asked to call it. Afterwards the model can neither learn nor load weights.
        """
        self.eval().requires_grad_(False)
        fold_norms(self)
        theirs = {part for model in self.ensemble for part in model.modules() if part is not model}
        for part in list(self.modules()):
            if part is not self and part not in theirs and hasattr(part, "fuse_for_inference"):
                part.fuse_for_inference()
        self._fused = True
        return self.to(memory_format=self.memory_format)

    def _out_spec(self, name: str) -> FeatureSpec:
        """Where the pixels of what a head gives lie."""
        return HeadContract.of(self.heads[name]).out_spec or self.head_inputs.specs(name)[0]

    def _check_instance_head(self, name: str | None) -> str | None:
        if self.postprocess is None:
            if name is not None and not hasattr(self.heads[name], "predict"):
                raise CellMMError(
                    f"instance_head {name!r} is a {type(self.heads[name]).__name__}, which gives no "
                    "instances; set it to None, or set postprocess if they come from the maps"
                )
            return name
        if name in self.heads and hasattr(self.heads[name], "predict"):
            raise CellMMError(
                f"model.postprocess: instances come from the head {name!r} already; set postprocess or "
                "instance_head to None"
            )
        check_postprocess(self.postprocess, self.map_strides)
        return None

    def extract(self, inputs: Tensor) -> Features:
        """(B, C, H, W) -> the decoder's maps, finest first; by name with ParallelDecoders."""
        return self.decoder(self.encoder(inputs.contiguous(memory_format=self.memory_format)))

    def forward(
        self, inputs: Tensor, data_samples: list[CellSample] | None = None, mode: str = "tensor"
    ) -> dict | list[CellSample]:
        if mode == "predict":
            with self.precision(inputs.device.type):
                return self._predict(inputs, data_samples)
        if self.ensemble:
            raise CellMMError("model.ensemble: it predicts; train its models alone, and leave it out")
        features = self.extract(inputs)
        if mode == "loss":
            losses = {
                name: head.loss(self.head_inputs.features(name, features, inputs), data_samples)
                for name, head in self.heads.items()
            }
            if len(losses) == 1:
                return next(iter(losses.values()))
            return {f"{name}.{key}": value for name, part in losses.items() for key, value in part.items()}
        if mode == "tensor":
            return {
                name: head(self.head_inputs.features(name, features, inputs))
                for name, head in self.heads.items()
            }
        raise ValueError(f"mode must be 'loss', 'predict' or 'tensor', got {mode!r}")

    def precision(self, device: str) -> contextlib.AbstractContextManager:
        """Autocast where ``inference_dtype`` is set; else what is around stays as it is."""
        if self.inference_dtype is None:
            return contextlib.nullcontext()
        return torch.autocast(device, getattr(torch, self.inference_dtype))

    @torch.no_grad()
    def find_diameter(self, image: Tensor) -> float | None:
        """How large the cells of a normalised image (C, H, W) are, in its pixels; None: no cell is found.

        Raises:
            AttributeError: the model has no ``cell_size``.
        """
        image = image[None].to(self.data_preprocessor.device)

        def look(part: Tensor) -> PredictedInstances:
            padded = self.data_preprocessor.pad([part[0]])
            sample = CellSample(metainfo=dict(img_shape=tuple(part.shape[-2:])))
            if self.postprocess is not None:
                maps = self._maps(self.extract(padded), padded)
                own = {target: probs[0] for target, probs in maps.items()}
                return self._from_maps(without_padding(own, self.map_strides, sample.img_shape))
            return self._instances(self.extract(padded), padded, [sample])[0].on_image(sample)

        with self.precision(image.device.type):
            return self.cell_size.find(image, look)

    @torch.no_grad()
    def head_maps(self, name: str, inputs: Tensor, sample: CellSample) -> list[Tensor]:
        """The maps that the head ``name`` reads of one image (1, C, H, W), which is scaled as when it is
        predicted; ``sample`` then says so."""
        if self.cell_size is not None:
            inputs = self._scaled(inputs[0], sample)
        return self.head_inputs.features(name, self.extract(inputs), inputs)

    def _predict(self, inputs: Tensor, samples: list[CellSample]) -> list[CellSample]:
        if self.cell_size is not None and any("cell_diameter" not in sample for sample in samples):
            for image, sample in zip(inputs, samples, strict=True):
                self._predict(self._scaled(image, sample), [sample])
            return samples
        shape = inputs.shape[-2:]
        if self.tile is not None and max(shape) > self.tile:
            for image, sample in zip(inputs.split(1), samples, strict=True):
                self._predict_tiles(image, sample)
            return samples
        seen = look_at([self, *self.ensemble], inputs, samples, self.views)
        for i, sample in enumerate(samples):
            own = {target: probs[i] for target, probs in seen.maps.items()}
            own = without_padding(own, self.map_strides, sample.img_shape)
            if own:
                sample.pred_semantic = maps_in_original_frame(own, self.map_strides, sample)
            found = None if seen.instances is None else seen.instances[i].on_image(sample)
            found = self._cells(found, own)
            if found is not None:
                self._write_instances(found, sample)
        return samples

    def look(self, inputs: Tensor, samples: list[CellSample]) -> Look:
        """What this model finds in inputs (B, C, H, W) as they are: one view of an image, or of a tile."""
        features = self.extract(inputs)
        maps = self._maps(features, inputs)
        if self.instance_head is None:
            return Look(maps, None)
        return Look(maps, self._instances(features, inputs, samples))

    def _scaled(self, image: Tensor, sample: CellSample) -> Tensor:
        """An image (C, H, W) of a batch at the scale that the network knows: (1, C, h, w)."""
        height, width = sample.img_shape
        image = image[:, :height, :width]
        if "cell_diameter" not in sample:
            found = self.cell_size.known(self.find_diameter(image), sample.get("img_path"))
            image = scale_to_diameter(image, sample, found, self.cell_size.diameter)
        return self.data_preprocessor.pad([image])

    def _predict_tiles(self, image: Tensor, sample: CellSample) -> None:
        """One image (1, C, H, W), one tile after the other in the network."""
        step = self.tile_step
        tile, overlap, *own = (n + -n % step for n in (self.tile, self.tile_overlap, *sample.img_shape))
        if self.even_tiles:
            tile = even_tile(own, tile, overlap, step)

        def predict(part: Tensor) -> tuple[dict[str, np.ndarray], PredictedInstances | None]:
            seen = look_at([self, *self.ensemble], part, [sample], self.views)
            maps = {target: probs[0] for target, probs in seen.maps.items()}
            return maps, self._cells(None if seen.instances is None else seen.instances[0], maps)

        result = predict_in_tiles(
            predict,
            image[..., : own[0], : own[1]],  # without what the batch's largest image added
            tile,
            overlap,
            sample=sample,
            strides=self.map_strides,
            margin=self.margin,
            step=step,
        )
        if result.maps:
            maps = without_padding(result.maps, self.map_strides, sample.img_shape)
            sample.pred_semantic = maps_in_original_frame(maps, self.map_strides, sample)
        if result.instances is not None:
            sample.pred_instances = result.instances
        self._limits.say(sample.get("img_path"), result.limits)
        if result.num_united:
            print_log(
                f"{sample.get('img_path')}: {result.num_united} cells are too long to be looked at in one "
                "piece, and were put together from those of tiles; set tile (now "
                f"{self.tile} px) to the length of the longest cell or more",
                logger="current",
                level=logging.WARNING,
            )

    def _instances(
        self, features: Features, inputs: Tensor, samples: list[CellSample]
    ) -> list[PredictedInstances]:
        head = self.heads[self.instance_head]
        return head.predict(self.head_inputs.features(self.instance_head, features, inputs), samples)

    def _write_instances(self, found: PredictedInstances, sample: CellSample) -> None:
        sample.pred_instances = found.on_image(sample).in_original_frame(sample)
        self._limits.say(sample.get("img_path"), found.limits)

    def _maps(self, features: Features, images: Tensor) -> dict[str, np.ndarray]:
        """{target: probabilities, float32 (B, h, w)} of images (B, C, H, W)."""
        maps: dict[str, np.ndarray] = {}
        for target, name in self.map_heads.items():
            if target not in maps:
                inputs = self.head_inputs.features(name, features, images)
                where, stride = f"model.heads.{name}", self.map_strides[target]
                maps |= predict_maps(self.heads[name], where, inputs, stride, images.shape[-2:])
        return maps

    def _cells(
        self, found: PredictedInstances | None, maps: Mapping[str, np.ndarray]
    ) -> PredictedInstances | None:
        """The instances of one image, ``found`` by a head or made of its maps (h, w), as refined and
        calibrated; None: no head gives any."""
        if self.postprocess is not None:
            found = self._from_maps(maps)
        if found is not None and self.refine is not None:
            found = self.refine(found, maps, self.map_strides)
        if found is not None and self.calibration is not None:
            found = self.calibration(found)
        return found

    def _from_maps(self, maps: Mapping[str, np.ndarray]) -> PredictedInstances:
        return self.postprocess(maps).at_stride(next(iter(self.map_strides.values())))


def _image_channels(config: Mapping[str, Any]) -> int | None:
    """What the preprocessor's config says of the images; None: nothing."""
    channels = argument_of(MODELS, config, "in_channels")
    if channels is not None and (not isinstance(channels, int) or channels < 1):
        raise CellMMError(
            f"model.data_preprocessor.in_channels: {channels!r}; set it to the channels of the images"
        )
    return channels
