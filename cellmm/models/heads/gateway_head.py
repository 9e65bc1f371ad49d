"""Instances through gateways: the head of DiskMask."""

import math
from collections.abc import Callable, Sequence

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from cellmm.errors import CellMMError
from cellmm.models.derive import build_part
from cellmm.models.feature_spec import FeatureSpec, channels_of
from cellmm.models.heads.base import HeadExport, sides
from cellmm.models.heads.gateway_targets import ImageTargets
from cellmm.models.heads.gateway_windows import DecodedMasks, cut_windows
from cellmm.models.heads.gateways import GatewayMaps, Gateways, SampledGateways
from cellmm.models.layers.fused_deco_net import DOUBT, FusedDecoNet
from cellmm.models.layers.patches import cut_patches
from cellmm.models.renamed_keys import rename_on_load
from cellmm.registry import MODELS, TASK_UTILS
from cellmm.structures import CellSample, PredictedInstances

SHARED = 1.5  # times the map: of so many pixels of windows on, what they share is computed once


@MODELS.register_module()
class GatewayHead(BaseModule):
    """One mask per gateway. Source: diskmask 2.3, 3.2 to 3.4.

    The finest map gives the feature map F and disk logits, class 0 being the background. A gateway is opened
    by F x gate, which is zero except inside its disk, and DecoNet draws the mask of the object that belongs
    to it, with skips from the coarser maps. Masks may overlap.

    The parts are those that were published, unless others are given; ``heads.parts`` says what they must
    offer. In training ``sampler`` opens gateways
    by the truth and ``criterion`` judges the disks and the masks. When predicting, ``finder`` finds gateways,
    each is looked at in ``windows``, ``scoring`` scores the masks and ``test_cfg`` says which are returned.

    ``forward``: list of (B, D, H, W), finest first -> dict(features (B, C, H, W), disk_logits
    (B, K + 1, H, W)). Samples need what ReferencePoints and DiskTargets write, at the stride of F.

    Args:
        in_specs: of the maps, finest first; F and the masks have the stride of the finest. The model gives
            it.
        num_classes: K; the disk logits have one more class, the background.
        feature_channels: C.
        mask_decoder: config of DecoNet; its ``widths`` say how many of the coarser maps it takes.
        finder: config of the finder of gateways, ComponentFinder (as published) or PeakFinder.
        sampler: config of the sampler of training gateways, UnionGatewaySampler (as published) or
            SingleGatewaySampler.
        criterion: config of the losses, GatewayCriterion.
        scoring: config of the scores of masks, GatewayScoring.
        windows: config of the windows that DecoNet looks at, GrowingWindows.
        test_cfg: ``mask_thr``, ``score_thr`` and ``nms``, see InstanceTestCfg.
    """

    # what training samples must have, and the steps that write it
    needs = {"gt_disks": "ReferencePoints and DiskTargets before PackCellInputs"}

    # see heads.base.OwnsParts
    default_parts = dict(
        mask_decoder="DecoNet",
        finder="ComponentFinder",
        sampler="UnionGatewaySampler",
        criterion="GatewayCriterion",
        scoring="GatewayScoring",
        windows="GrowingWindows",
        test_cfg="InstanceTestCfg",
    )
    part_arguments = dict(
        mask_decoder=("in_channels", "map_channels"), scoring=("in_channels",), windows=("multiple",)
    )

    def __init__(
        self,
        in_specs: Sequence[FeatureSpec],
        num_classes: int = 1,
        feature_channels: int = 64,
        mask_decoder: dict | None = None,
        finder: dict | None = None,
        sampler: dict | None = None,
        criterion: dict | None = None,
        scoring: dict | None = None,
        windows: dict | None = None,
        test_cfg: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        channels, self.grid, self.num_classes = channels_of(in_specs), in_specs[0].grid, num_classes
        self.features = nn.Conv2d(channels[0], feature_channels, 1)
        self.disk_logits = nn.Conv2d(channels[0], num_classes + 1, 1)
        self.mask_decoder = build_part(
            self, MODELS, "mask_decoder", mask_decoder, in_channels=feature_channels, map_channels=channels
        )
        coarsest, multiple = self.mask_decoder.coarsest_channels, self.mask_decoder.multiple
        self.scoring = build_part(self, MODELS, "scoring", scoring, in_channels=coarsest)
        self.criterion = build_part(self, MODELS, "criterion", criterion)
        self.finder = build_part(self, TASK_UTILS, "finder", finder)
        self.sampler = build_part(self, TASK_UTILS, "sampler", sampler)
        self.windows = build_part(self, TASK_UTILS, "windows", windows, multiple=multiple)
        self.test_cfg = build_part(self, TASK_UTILS, "test_cfg", test_cfg)
        parts = {"finder": self.finder, "test_cfg": self.test_cfg}
        self.score_thrs = {f"{k}.score_thr": p.score_thr for k, p in parts.items() if hasattr(p, "score_thr")}
        stride, origin = self.grid.stride, self.grid.origin
        self.out_spec = FeatureSpec(1, stride, origin + stride * self.mask_decoder.origin)
        self.fused: FusedDecoNet | None = None
        self.map_channels = channels
        self.graphs: dict[str, Callable] = {}
        self._check_parts()
        rename_on_load(self, {"deco_net.": "mask_decoder.", "quality.": "scoring.objectness."})

    def _check_parts(self) -> None:
        """Raise ValueError where parts do not fit each other."""
        self.mask_decoder.check_window(self.windows.size)
        sampler = type(self.sampler).__name__
        if self.sampler.one_per_window and self.windows.size is None:
            raise ValueError(f"{sampler} needs windows of a size; set windows.size of the head")
        if self.scoring.learns and not self.sampler.one_per_window:
            raise ValueError(
                f"scoring with an objectness learns from the masks of single gateways, and {sampler} opens "
                "several together; take SingleGatewaySampler, or leave objectness out"
            )

    def forward(self, features: list[Tensor]) -> dict[str, Tensor]:
        return dict(features=self.features(features[0]), disk_logits=self.disk_logits(features[0]).float())

    def decode_windows(
        self, features: list[Tensor], f: Tensor, image: Tensor, first: Tensor, gates: Tensor
    ) -> tuple[Tensor, Tensor]:
        """K windows through DecoNet.

        Args:
            features: the maps of the batch, finest first.
            f: F of the batch, (B, C, H, W).
            image: the image of each window, int64 (K,).
            first: first pixel of each window on F, int64 (K, 2), multiples of ``mask_decoder.multiple``.
            gates: the open pixels of each window, bool (K, h, w).

        Returns:
            mask logits (K, h', w'), float32, and DecoNet's coarsest maps. The logits' first pixel is
            ``mask_decoder.origin`` pixels after the window's.
        """
        return self._decode(*self._cut(features, f, image, first, gates.shape[-2:]), gates)

    def _cut(
        self, features: list[Tensor], f: Tensor, image: Tensor, first: Tensor, size: Sequence[int]
    ) -> tuple[Tensor, list[Tensor]]:
        """Windows of ``size`` of F, and of the maps that DecoNet takes."""
        height, width = size
        maps = [
            cut_windows(features[i], image, first // 2**i, (height // 2**i, width // 2**i))
            for i in self.mask_decoder.levels
        ]
        return cut_windows(f, image, first, size), maps

    def _decode(self, x: Tensor, maps: list[Tensor], gates: Tensor) -> tuple[Tensor, Tensor]:
        """Windows that are cut out -> mask logits (K, h', w'), float32, and DecoNet's coarsest maps."""
        logits, coarsest = self.mask_decoder(x * gates[:, None].to(x.dtype), maps)
        return logits[:, 0].float(), coarsest

    def masks(
        self, x: Tensor, maps: list[Tensor], gates: Tensor, disk_probs: Tensor
    ) -> tuple[Tensor, Tensor]:
        """K windows that are cut out -> mask logits (K, h', w') and scores (K,).

        Args:
            x: of F, (K, C, h, w).
            maps: of the maps ``mask_decoder.levels``, map i with h / 2**i rows.
            gates: the open pixels, bool (K, h, w).
            disk_probs: disk probability at each gateway, (K,).
        """
        logits, coarsest = self._decode(x, maps, gates)
        return logits, self.scoring(logits, coarsest, disk_probs, self.test_cfg.mask_thr)

    @property
    def export(self) -> HeadExport:
        """DecoNet and the scoring are a graph of their own, ``masks``; see HeadExport."""

        def examples(number: int, size: int) -> dict:
            rows, cols = (self.mask_decoder.multiple * side for side in sides(size))
            if not self.mask_decoder.padded:
                rows, cols = rows + self.mask_decoder.min_size, cols + self.mask_decoder.min_size
            gates = torch.zeros(number, rows, cols, dtype=torch.bool)
            gates[:, rows // 2 - 2 : rows // 2 + 2, cols // 2 - 2 : cols // 2 + 2] = True
            maps = [
                torch.randn(number, self.map_channels[i], rows // 2**i, cols // 2**i)
                for i in self.mask_decoder.levels
            ]
            x = torch.randn(number, self.features.out_channels, rows, cols)
            return dict(x=x, maps=maps, gates=gates, disk_probs=torch.rand(number))

        return HeadExport(
            maps=self.mask_decoder.levels,
            calls=dict(masks=self.masks),
            examples=dict(masks=examples),
            results=dict(masks=("mask_logits", "scores")),
            multiples=dict(masks=dict(x=self.mask_decoder.multiple) if self.mask_decoder.padded else {}),
        )

    def fuse_for_inference(self) -> None:
        """Decode with a FusedDecoNet where DecoNet has that form, once the norms are folded."""
        if FusedDecoNet.fits(self.mask_decoder):
            self.fused = FusedDecoNet(self.features, self.mask_decoder)

    def draw_windows(
        self,
        features: list[Tensor],
        f: Tensor,
        image: Tensor,
        first: Tensor,
        gates: Tensor,
        shared: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """As ``decode_windows``, the fastest way; pixels that surely do not belong to a mask may be -30.

        Fused, ``f`` is the finest of the maps, of which F is made where it is needed; ``shared``: see
        FusedDecoNet.
        """
        if self.fused is None:
            return self.decode_windows(features, f, image, first, gates)
        height, width = gates.shape[-2:]
        levels = [i for i in self.mask_decoder.levels if i]
        skips = [
            cut_patches(features[i], image, first // 2**i, (height // 2**i, width // 2**i)) for i in levels
        ]
        least = min(DOUBT, self.test_cfg.mask_thr)
        return self.fused(f, skips, image, first, gates, least, shared)

    def loss(self, features: list[Tensor], samples: list[CellSample]) -> dict[str, Tensor]:
        """The losses of ``criterion`` and of ``scoring``."""
        outputs = self(features)
        f, disk_logits = outputs["features"], outputs["disk_logits"]
        targets = self._targets(f.shape[-2:], samples)
        gateways = self._sample_gateways(disk_logits, targets)
        logits, coarsest = self.decode_windows(features, f, gateways.image, gateways.first, gateways.gates)
        origins = gateways.first + self.mask_decoder.origin
        windows = [
            targets[image].window(origin, logits.shape[-2:])
            for image, origin in zip(gateways.image.tolist(), origins.tolist(), strict=True)
        ]
        losses = self.criterion(disk_logits, targets, logits, windows, gateways)
        mask_thr = self.test_cfg.mask_thr
        return losses | self.scoring.loss(logits, coarsest, gateways.probs, mask_thr, windows)

    def _targets(self, shape: Sequence[int], samples: list[CellSample]) -> list[ImageTargets]:
        """The truth of each image on an F of ``shape`` (h, w)."""
        least, smallest = self.mask_decoder.min_size, min(shape)
        if smallest < least:
            raise CellMMError(
                f"{samples[0].get('img_path')}: a feature map of {tuple(shape)} pixels, but DecoNet needs "
                f"{least} or more: train on crops that are {self.grid.stride * (least - smallest)} px larger"
            )
        return [ImageTargets(sample, self.grid, shape, self.num_classes) for sample in samples]

    def _sample_gateways(self, disk_logits: Tensor, targets: Sequence[ImageTargets]) -> SampledGateways:
        disk_probs = 1 - disk_logits.detach().softmax(1)[:, 0]
        return SampledGateways.of_batch(
            [
                self.sampler.sample(target, probs * (target.weight > 0), self.finder, self.windows)
                for probs, target in zip(disk_probs, targets, strict=True)
            ]
        )

    @torch.no_grad()
    def predict(self, features: list[Tensor], samples: list[CellSample]) -> list[PredictedInstances]:
        """The instances of each image, in windows, with the gateways as ``points``, best first."""
        maps = self.read(features)
        return [
            self.draw(maps, image, self.finder.find(probs)) for image, probs in enumerate(maps.disk_probs)
        ]

    def read(self, features: list[Tensor]) -> GatewayMaps:
        """What gateways are opened on, from the maps of the decoder, finest first."""
        if self.fused is None:
            outputs = self(features)
            f, disk_logits = outputs["features"], outputs["disk_logits"]
        else:  # it cuts patches out of the maps, and makes F of them
            features = [x.contiguous(memory_format=torch.channels_last) for x in features]
            f, disk_logits = features[0], self.disk_logits(features[0]).float()
        return GatewayMaps(features, f, disk_logits.softmax(1))

    def draw(
        self, maps: GatewayMaps, image: int, gateways: Gateways, *, every: bool = False
    ) -> PredictedInstances:
        """The instances behind ``gateways`` of ``image`` of the batch, best first.

        ``every``: none is left out for its score or as a repetition, and they come in the order of the
        gateways.
        """
        features, class_probs = maps.features, maps.class_probs[image]
        shape, mask_thr = class_probs.shape[-2:], self.test_cfg.mask_thr
        row, col = gateways.pixels()
        probs = maps.disk_probs[image, row, col]
        shared = None
        windows = len(gateways) * math.prod(self.windows.shape_on(shape))
        if self.fused is not None and self.mask_decoder.levels and windows > SHARED * math.prod(shape):
            shared = self.fused.share(features[1][image : image + 1])

        def decode(which: Tensor, first: Tensor, gates: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            images = torch.full_like(which, image)
            if graph := self.graphs.get("masks"):
                x, cut = self._cut(features, maps.f, images, first, gates.shape[-2:])
                logits, scores = graph(x, cut, gates, probs[which])
            else:
                logits, coarsest = self.draw_windows(features, maps.f, images, first, gates, shared)
                scores = self.scoring(logits, coarsest, probs[which], mask_thr)
            return logits.sigmoid(), first + self.mask_decoder.origin, scores

        masks = self.windows.decode_each(
            gateways, shape, decode, mask_thr=mask_thr, score_thr=self.test_cfg.score_thr
        )
        keep, scores = torch.arange(len(gateways)), masks.scores
        if not every:
            keep, scores = self._select(masks)
        stride, before = self.grid.stride, self.grid.origin // self.grid.stride
        return PredictedInstances(
            probs=[masks.probs[i] for i in keep.tolist()],
            scores=scores,
            labels=class_probs[1:, row[keep], col[keep]].argmax(0),
            stride=stride,
            origins=masks.origins[keep] + before,
            grid_shape=tuple(side + before for side in shape),
            points=(gateways.points[keep] + 0.5) * stride - 0.5 + self.grid.origin,
            mask_thr=mask_thr,
            limits=gateways.limits | masks.limits,
        )

    @torch.no_grad()
    def draw_at(
        self, maps: GatewayMaps, found: Gateways, point: tuple[float, float], near: int = 4
    ) -> PredictedInstances:
        """The instances that may lie at ``point`` (y, x), pixels of the input, of the first of the batch.

        A gateway is opened at the point, though the finder sees none there, and so are the nearest ``near``
        of those ``found``: where cells overlap, the disks of both draw them better than a place in between.
        The instances come in this order, whatever they score.
        """
        stride, shape = self.grid.stride, maps.class_probs.shape[-2:]
        place = (maps.class_probs.new_tensor(point) - self.grid.origin + 0.5) / stride - 0.5
        place = torch.minimum(place.clamp(min=0), place.new_tensor(shape) - 1)[None]
        radius = place.new_full((1,), self.finder.radius)
        clicked = self.draw(maps, 0, Gateways(place, radius, radius.new_ones(1)), every=True)
        nearest = self.draw(maps, 0, found.nearest(place[0], near), every=True)
        return clicked.joined(nearest)

    def _select(self, masks: DecodedMasks) -> tuple[Tensor, Tensor]:
        """Indices of the masks to return, best first, and their scores; a repetition may be of any class."""
        inside = [prob > self.test_cfg.mask_thr for prob in masks.probs]
        filled = masks.scores.new_tensor([bool(mask.any()) for mask in inside], dtype=torch.bool)
        order = self.test_cfg.passing(masks.scores, filled)
        keep, scores = self.test_cfg.suppress(
            [inside[i] for i in order.tolist()], masks.scores[order], None, masks.origins[order]
        )
        return order[keep], scores
