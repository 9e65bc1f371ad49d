"""Instances through gateways: the head of DiskMask."""

from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F

from cellmm.errors import CellMMError
from cellmm.models.feature_spec import FeatureSpec, channels_of
from cellmm.models.heads.class_check import check_labels
from cellmm.models.heads.gateway_prediction import predict_image
from cellmm.models.heads.gateway_training import (
    OpenGateways,
    best_iou,
    crop,
    edge_ids,
    gateways_anywhere,
    grid_points,
    own_pixels,
    owners,
    random_radius,
    random_subset,
    thinned,
    union_mask,
)
from cellmm.models.heads.gateways import Gateways, gateways_from_components, gateways_from_peaks, windows
from cellmm.models.heads.mask_scores import MaskQuality
from cellmm.models.losses.functional import cross_entropy, dice_coefficient, mean_over_ranks
from cellmm.registry import MODELS
from cellmm.structures import PredictedInstances


@MODELS.register_module()
class GatewayHead(BaseModule):
    """One mask a gateway. Source: diskmask 2.3, 3.2 to 3.4.

    The finest map gives the feature map F and disk logits, class 0 being the background. A gateway is opened
    by F x gate, which is zero but inside its disk, and DecoNet draws the mask of the object that belongs to
    it, with skips from the coarser maps. Masks may overlap.

    Training, as published (``train_gates=None``): of each image's gateways, each opens with ``keep_prob``,
    all open ones go through DecoNet at once, and it draws the union of their objects, an empty mask where
    none is open. Ours: ``train_gates`` gateways an image, one at a time, in windows; some of them anywhere on
    the object, some where the head itself sees a disk, right or wrong, so that the quality of masks from
    wrong gateways is learned too.

    ``forward``: list of (B, D, H, W), finest first -> dict(features (B, C, H, W), disk_logits
    (B, K + 1, H, W)). Samples need what ReferencePoints and DiskTargets write, at the stride of F.

    Args:
        in_specs: of the maps, finest first; F and the masks have the stride of the finest.
        num_classes: K; the disk logits have one class more, the background.
        feature_channels: C.
        deco_net: arguments of DecoNet; its ``widths`` say how many maps after the finest it takes.
        fine_skip: DecoNet's last block sees the finest map too; not published.
        window: side of the window of F around a gateway that DecoNet looks at, with padding a multiple of
            DecoNet's coarsest stride; it grows where a mask reaches its border. None: all of F.
        patience: how much work that gives no mask predicting an image may hold: so many times 16 windows and
            once all of F, and half of the work that gives masks (see Work). The least probable gateways are
            left out then, and a warning counts them. None: no bound.
        train_gates: see above; None as published.
        anywhere: share of the ``train_gates`` that open at a random place of their object.
        found: share of them that open where the head finds a disk.
        keep_prob: see above.
        train_radius: radius of an open gateway is drawn from 1 to this, in pixels of F, or what is left of
            the disk, so that no size is learned.
        train_thinning: as published, in place of ``train_radius``: open disks lose 0 to this many layers by
            thinning, drawn once per image, so that whole ones, which predicting opens, are learned too; the
            radius of the disks less 2 as published. Not with ``train_gates``.
        gates: ``'components'`` as published or ``'peaks'``; disks below ``gate_thr`` are no peaks, and peaks
            open ``gate_radius``, the best ``max_gates`` of an image; a warning counts the others. None: all.
        batch_gates: gateways that go through DecoNet together when predicting.
        score: ``'mask'``: mean probability of the mask's pixels, as published; ``'quality'``: times the IoU
            that a small net expects of the mask, on detached features.
        loss_disk_weight, loss_mask_weight, loss_dice_weight, loss_quality_weight: 1, 1, 0 and 0 as published.
        mask_thr: probability above which a pixel belongs to the mask.
        score_thr: masks that score less are not returned.
        nms_thr: masks that repeat a better one with more than this IoU are not returned; None: all are.
    """

    # what training samples must have, and the steps that write it
    needs = {"gt_disks": "ReferencePoints and DiskTargets before PackCellInputs"}

    def __init__(
        self,
        in_specs: Sequence[FeatureSpec],
        num_classes: int = 1,
        feature_channels: int = 64,
        deco_net: dict | None = None,
        fine_skip: bool = False,
        window: int | None = None,
        patience: float | None = 1.0,
        train_gates: int | None = None,
        anywhere: float = 0.0,
        found: float = 0.0,
        keep_prob: float = 0.5,
        train_radius: int = 4,
        train_thinning: int | None = None,
        gates: str = "components",
        gate_thr: float = 0.1,
        gate_radius: float = 3.0,
        max_gates: int | None = None,
        batch_gates: int = 16,
        score: str = "mask",
        loss_disk_weight: float = 1.0,
        loss_mask_weight: float = 1.0,
        loss_dice_weight: float = 0.0,
        loss_quality_weight: float = 0.0,
        mask_thr: float = 0.5,
        score_thr: float = 0.05,
        nms_thr: float | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if gates not in ("components", "peaks"):
            raise ValueError(f"gates must be 'components' or 'peaks', got {gates!r}")
        if score not in ("mask", "quality"):
            raise ValueError(f"score must be 'mask' or 'quality', got {score!r}")
        if score == "quality" and not loss_quality_weight:
            raise ValueError("score='quality' needs loss_quality_weight > 0")
        if train_gates is not None and window is None:
            raise ValueError("train_gates needs a window")
        if train_gates is not None and train_thinning is not None:
            raise ValueError("train_thinning is of the published training: leave it out, or train_gates")
        if train_thinning is not None and train_thinning < 0:
            raise ValueError(f"train_thinning must be None or 0 and more, got {train_thinning}")
        if patience is not None and patience <= 0:
            raise ValueError(f"patience must be None or above 0, got {patience}")
        if max_gates is not None and max_gates < 1:
            raise ValueError(f"max_gates must be None or 1 and more, got {max_gates}")
        if train_gates is None and (loss_quality_weight or anywhere or found):
            raise ValueError("loss_quality_weight, anywhere and found need train_gates: one mask a gateway")
        if train_gates and round(train_gates * anywhere) + round(train_gates * found) > train_gates:
            raise ValueError(f"anywhere {anywhere} and found {found} are more than {train_gates} train_gates")
        in_channels = channels_of(in_specs)
        deco_net = dict(deco_net or {})
        deco_net.setdefault("type", "DecoNet")
        levels = len(deco_net.get("widths", (0,) * 4))
        self.features = nn.Conv2d(in_channels[0], feature_channels, 1)
        self.disk_logits = nn.Conv2d(in_channels[0], num_classes + 1, 1)
        self.deco_net = MODELS.build(
            dict(
                deco_net,
                in_channels=feature_channels,
                skip_channels=in_channels[1 : levels + 1],
                fine_channels=in_channels[0] if fine_skip else 0,
            )
        )
        self.quality = MaskQuality(2 * self.deco_net.coarsest_channels) if loss_quality_weight else None
        self.deco_net.check_window(window)
        self.num_classes, self.stride, self.origin = num_classes, in_specs[0].stride, in_specs[0].origin
        self.out_spec = FeatureSpec(1, self.stride, self.origin + self.stride * self.deco_net.origin)
        self.window, self.fine_skip, self.patience = window, fine_skip, patience
        self.train_gates, self.anywhere, self.found = train_gates, anywhere, found
        self.keep_prob, self.train_radius, self.train_thinning = keep_prob, train_radius, train_thinning
        self.gates, self.gate_thr, self.gate_radius, self.max_gates = gates, gate_thr, gate_radius, max_gates
        self.batch_gates, self.score = batch_gates, score
        self.loss_weights = dict(
            disk=loss_disk_weight, mask=loss_mask_weight, dice=loss_dice_weight, quality=loss_quality_weight
        )
        self.mask_thr, self.score_thr, self.nms_thr = mask_thr, score_thr, nms_thr

    def forward(self, features: list[Tensor]) -> dict[str, Tensor]:
        return dict(features=self.features(features[0]), disk_logits=self.disk_logits(features[0]).float())

    def draw(
        self, features: list[Tensor], f: Tensor, image: Tensor, first: Tensor, gates: Tensor
    ) -> tuple[Tensor, Tensor]:
        """K windows through DecoNet.

        Args:
            features: the maps of the batch, finest first; ``f``: F of the batch (B, C, H, W).
            image, first: which image (K,), and the windows' first pixels on F (K, 2), multiples of
                ``deco_net.multiple``.
            gates: bool (K, h, w), the open pixels of each window.

        Returns:
            mask logits (K, 1, h', w'), float32, and DecoNet's coarsest maps. The logits' first pixel is
            ``deco_net.origin`` pixels after the windows'.
        """
        size = gates.shape[-2:]
        x = windows(f, image, first, size) * gates[:, None].to(f.dtype)
        skips = [
            windows(one, image, first // 2**i, (size[0] // 2**i, size[1] // 2**i))
            for i, one in enumerate(features[1 : len(self.deco_net.down) + 1], start=1)
        ]
        fine = windows(features[0], image, first, size) if self.fine_skip else None
        logits, coarsest = self.deco_net(x, skips, fine)
        return logits.float(), coarsest

    def window_size(self, shape: Sequence[int], grow: int = 1) -> tuple[int, int]:
        """Rows and columns of a window on an F of ``shape`` (h, w), ``grow`` times as large as ``window``."""
        whole = int(shape[0]), int(shape[1])
        if self.window is None:
            return whole
        return min(self.window * grow, whole[0]), min(self.window * grow, whole[1])

    def first_pixels(self, points: Tensor, size: tuple[int, int], shape: Sequence[int]) -> Tensor:
        """Where windows of ``size`` around ``points`` (K, 2) start, inside F: int64 (K, 2)."""
        step = self.deco_net.multiple
        most = [(whole - side) // step * step for whole, side in zip(shape, size, strict=True)]
        first = (points - points.new_tensor(size) / 2).div(step).round().long() * step
        return torch.minimum(first.clamp(min=0), torch.tensor(most, device=first.device))

    def loss(self, features: list[Tensor], samples: list) -> dict[str, Tensor]:
        """``loss_disk``, ``loss_mask``, and ``loss_dice``, ``loss_quality`` where they have a weight."""
        outputs = self(features)
        logits, weights = outputs["disk_logits"], self.loss_weights
        disks, classes, disk_weight = self._disk_targets(logits, samples)
        losses = dict(loss_disk=weights["disk"] * (cross_entropy(logits, classes) * disk_weight).mean())
        disk_probs = (1 - logits.detach().softmax(1)[:, 0]) * (disk_weight > 0)  # none in what is ignored
        opened = self._open_for_training(disk_probs, disks, samples)
        # a wrong gateway has no mask to learn; as published, no open gateway has an empty one
        draws = [len(cells) > 0 or self.train_gates is None for cells in opened.cells]
        count = mean_over_ranks(sum(draws), logits)
        mask_logits, coarsest = self.draw(
            features, outputs["features"], opened.image, opened.first, opened.gates
        )
        mask_logits = mask_logits[:, 0]
        mask, dice, iou = [], [], []
        for logit, image, first, cells, draw in zip(
            mask_logits, opened.image.tolist(), opened.first.tolist(), opened.cells, draws, strict=True
        ):
            layers, ignore = self._window_truth(samples[image], first, logit.shape)
            learned = (~ignore).float()
            if self.quality is not None:
                seen = logit.detach().sigmoid() * learned
                iou.append(best_iou(seen, layers, self.stride, self.mask_thr))
            if draw:
                target = union_mask(layers, cells, self.stride)
                bce = F.binary_cross_entropy_with_logits(logit, target, reduction="none") * learned
                mask.append(bce.sum() / learned.sum().clamp(min=1))
                if len(cells):
                    probs = (logit.sigmoid() * learned).flatten()
                    dice.append(1 - dice_coefficient(probs, (target * learned).flatten()))
        nothing = mask_logits.sum() * 0
        losses["loss_mask"] = weights["mask"] * sum(mask, nothing) / count
        if weights["dice"]:
            losses["loss_dice"] = weights["dice"] * sum(dice, nothing) / count
        if self.quality is not None:
            quality = self._quality(coarsest, mask_logits, opened.probs)
            target = torch.stack(iou) if iou else quality
            losses["loss_quality"] = weights["quality"] * (
                F.binary_cross_entropy_with_logits(quality, target.detach(), reduction="sum")
                / mean_over_ranks(len(quality), logits)
            )
        return losses

    def _disk_targets(self, logits: Tensor, samples: list) -> tuple[Tensor, Tensor, Tensor]:
        """On the grid of the logits: ids of the disks, their classes (0: none), weights, each (B, h, w)."""
        first, size = (self.origin // self.stride,) * 2, logits.shape[-2:]
        self._check_size(size, samples)
        disks, classes = [], []
        for sample in samples:
            height, width = sample.gt_layers.shape[-2:]
            if sample.gt_disks.shape != (-(-height // self.stride), -(-width // self.stride)):
                raise CellMMError(
                    f"{sample.get('img_path')}: disks of {tuple(sample.gt_disks.shape)} pixels for an "
                    f"image of {(height, width)}: set stride={self.stride} in DiskTargets, as the head has it"
                )
            labels = sample.gt_instances.labels
            check_labels(labels, self.num_classes, sample)
            disks.append(crop(sample.gt_disks, first, size))
            classes.append(torch.cat([labels.new_zeros(1), labels + 1])[disks[-1].long()])
        weight = torch.stack([crop(sample.gt_disk_weight, first, size) for sample in samples])
        return torch.stack(disks), torch.stack(classes), weight

    def _check_size(self, size: Sequence[int], samples: list) -> None:
        """Refuse a map that is too small for DecoNet, or that ``stride`` does not fit."""
        least = self.deco_net.min_size
        name, largest = samples[0].get("img_path"), max(max(s.gt_layers.shape[-2:]) for s in samples)
        if min(size) < least:
            raise CellMMError(
                f"{name}: a feature map of {tuple(size)} pixels, but DecoNet needs {least} or more: train on "
                f"crops that are {self.stride * (least - min(size))} px larger"
            )
        covered = max(size) * self.stride
        if not self.origin and not largest <= covered < 2 * max(largest, 64):
            raise CellMMError(
                f"{name}: a feature map of {tuple(size)} pixels for {largest} px is not of stride "
                f"{self.stride}: set the head's stride to that of the decoder's finest map"
            )

    def _window_truth(self, sample, first: Sequence[int], shape: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Layers (L, s h, s w) and ignored pixels (h, w) under mask logits of ``shape`` in the window."""
        pixel = [self.stride * (f + self.deco_net.origin) + self.origin for f in first]
        size = tuple(self.stride * side for side in shape)
        layers = crop(sample.gt_layers, pixel, size)
        ignore = torch.zeros(size, dtype=torch.bool, device=layers.device)
        if "ignore" in sample:
            ignore = crop(sample.ignore, pixel, size)
            layers = layers.masked_fill(ignore, 0)
        return layers, F.max_pool2d(ignore[None].float(), self.stride)[0] > 0

    def _open_for_training(self, disk_probs: Tensor, disks: Tensor, samples: list) -> OpenGateways:
        parts = [self._open_in_image(i, disk_probs[i], disks[i], sample) for i, sample in enumerate(samples)]
        return OpenGateways(
            image=torch.cat([part.image for part in parts]),
            first=torch.cat([part.first for part in parts]),
            gates=torch.cat([part.gates for part in parts]),
            probs=torch.cat([part.probs for part in parts]),
            cells=[cells for part in parts for cells in part.cells],
        )

    def _open_in_image(self, image: int, disk_probs: Tensor, disks: Tensor, sample) -> OpenGateways:
        points = grid_points(sample.gt_points, self.stride, self.origin)
        ids, shape = disks.unique().long(), disks.shape
        ids = ids[ids > 0]
        radius = random_radius(len(points), self.train_radius, points)
        # cells without a disk have no point (nan), and no id among those that are opened
        known = Gateways(torch.nan_to_num(points), radius, torch.ones_like(radius), disks)
        if self.train_gates is None:
            size = shape
            ids = ids[~torch.isin(ids, edge_ids(disks))]  # diskmask 3.3.2
            opened = ids[(torch.rand(len(ids)) < self.keep_prob).to(ids.device)]
            zero = torch.zeros(1, 2, dtype=torch.long, device=disks.device)
            if self.train_thinning is None:
                gates = known.open(opened - 1, zero.expand(len(opened), 2), size).any(0, keepdim=True)
            else:
                passes = int(torch.randint(0, self.train_thinning + 1, ()))
                gates = thinned(torch.isin(disks, opened.to(disks.dtype)), passes)[None]
            return OpenGateways(zero[:, 0] + image, zero, gates, gates.new_ones(1).float(), [opened])
        size = self.window_size(shape)
        first, gates, probs, cells = [], [], [], []

        def add(gateways: Gateways, which: Tensor, owner: Tensor) -> None:
            start = self.first_pixels(gateways.points[which], size, shape)
            first.append(start)
            gates.append(gateways.open(which, start, size))
            row, col = gateways.points[which].round().long().unbind(1)
            probs.append(disk_probs[row, col])
            cells.extend(owner[i : i + 1][owner[i : i + 1] > 0] for i in range(len(owner)))

        number = [round(self.train_gates * share) for share in (self.anywhere, self.found)]
        chosen = random_subset(ids, self.train_gates - sum(number))
        add(known, chosen - 1, chosen)
        layers, _ = self._window_truth(sample, (-self.deco_net.origin,) * 2, shape)
        own = own_pixels(layers[:, :: self.stride, :: self.stride])
        if number[0]:
            chosen = random_subset(ids, number[0])
            radius = random_radius(len(chosen), self.train_radius, points)
            gateways, chosen = gateways_anywhere(own, chosen, radius)
            add(gateways, torch.arange(len(chosen), device=ids.device), chosen)
        if number[1]:
            gateways = self.find(disk_probs)
            which = random_subset(torch.arange(len(gateways), device=ids.device), number[1])
            add(gateways, which, owners(gateways, disks, own)[which])
        first = torch.cat(first)
        return OpenGateways(
            torch.full_like(first[:, 0], image), first, torch.cat(gates), torch.cat(probs), cells
        )

    @torch.no_grad()
    def predict(self, features: list[Tensor], samples: list) -> list[PredictedInstances]:
        """The instances of each image, in windows, with the gateways as ``points``, best first."""
        outputs = self(features)
        probs = outputs["disk_logits"].softmax(1)
        return [predict_image(self, features, outputs["features"], i, probs[i]) for i in range(len(probs))]

    def find(self, disk_probs: Tensor) -> Gateways:
        """The gateways of one image in its disk probabilities (h, w)."""
        if self.gates == "components":
            return gateways_from_components(disk_probs)
        return gateways_from_peaks(disk_probs, self.gate_thr, self.gate_radius, self.max_gates)

    def scores(self, logits: Tensor, coarsest: Tensor, disk_probs: Tensor) -> Tensor:
        """Of K masks with logits (K, 1, h, w): (K,)."""
        probs = logits[:, 0].sigmoid()
        inside = probs > self.mask_thr
        scores = (probs * inside).sum((1, 2)) / inside.sum((1, 2)).clamp(min=1)
        if self.score == "quality":
            scores = scores * self._quality(coarsest, logits, disk_probs).sigmoid()
        return scores

    def _quality(self, coarsest: Tensor, logits: Tensor, disk_probs: Tensor) -> Tensor:
        """Expected IoU of K masks, as logits, from the mean and maximum of DecoNet's coarsest map."""
        coarsest = coarsest.detach().float()
        features = torch.cat([coarsest.mean((2, 3)), coarsest.amax((2, 3))], 1)
        return self.quality(features, logits, disk_probs)
