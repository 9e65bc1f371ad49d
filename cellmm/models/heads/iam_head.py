"""Instances from activation maps: the head of SparseSEUNet."""

import math
from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F

from cellmm.checks import check_share, check_whole
from cellmm.models.feature_spec import FeatureSpec
from cellmm.models.heads.class_check import check_labels
from cellmm.models.heads.mask_scores import MaskQuality
from cellmm.models.layers import QueryRefiner, TopDownBranch, coordinate_channels, masked_average
from cellmm.models.layers.mask_kernels import (
    grid_of_gaussians,
    mask_logits,
    monomials,
    place_kernels,
    resize_to,
)
from cellmm.models.limits import LimitLog
from cellmm.models.losses.functional import mask_iou, mean_over_ranks
from cellmm.models.losses.point_sampling import candidate_pixels, uncertain_points
from cellmm.models.postprocess.mask_nms import mask_nms, matrix_nms
from cellmm.registry import MODELS, TASK_UTILS
from cellmm.structures import PredictedInstances

CHUNK = 16  # whole masks held at a time
ALL_IN_USE = (
    "all queries gave a cell, {}, and there may be more cells; train with a larger num_queries, or predict "
    "in smaller tiles (model.tile), each of which has its own queries"
)


@MODELS.register_module()
class IAMHead(BaseModule):
    """N activation maps -> N instance features -> N classes and mask kernels. Source: sparseseunet 4.5.

    Instance branch: I = ``depth`` 3x3 blocks of X, at one decoder level or at ``num_levels``; activation maps
    A = F(I), a 3x3 convolution to N maps, through a sigmoid and normalised to a sum of 1 (or a softmax over
    pixels); a = A' X^T (eq. 4.9), projected to ``feature_dim``. Linear layers give the class logits and the
    kernel of each query. Mask branch: M = ``depth`` 3x3 blocks of X; mask logits = kernel . M + bias. (The
    projection follows the pooling, which is the same by linearity and cheaper; the pooled features are X and
    I.)

    Ours, off by default: pixel positions as polynomials, a start from a grid of Gaussians, displaced position
    fields, refinement of the instance features by the masks they gave, losses on sampled points, and a score
    that knows the quality of the mask.

    ``forward``: list of (B, D, H, W), finest first -> dict(``stages``: for the activation maps and each
    refinement dict(``cls_logits`` (B, N, K), ``kernels`` (B, N, E + 1)); ``basis`` (B, E, H', W') that the
    kernels act on; ``coarse_basis`` the same at ``match_level``). ``mask_logits(kernels, basis)`` puts the
    two together.

    Args:
        in_specs: of the decoder's maps, finest first; the masks have the stride of map ``mask_level``.
        num_queries: N, more than the most cells in an image; a warning names images in which all are in use.
        num_classes: K.
        feature_dim: size of an instance feature, 256 as published.
        branch_channels: width of the two branches.
        mask_dim: mask features, the length of a kernel.
        depth: 3x3 blocks in each branch, 4 as published.
        mask_level, instance_level: which decoder map each branch reads; 0, the finest, as published.
        num_levels: decoder levels, from ``mask_level`` and from ``instance_level`` on and down to the
            bottleneck at most, at which the branches fork, each passed on to the next finer one
            (sparseseunet 4.5.4); 1: single-level. The published form also takes the encoder's skips again:
            ``SEUNetDecoder(keep_skips=True)``.
        match_level: the map whose size the masks have when queries and cells are matched, and when masks
            pool features; 0: full resolution. Losses always see the full resolution.
        num_points: learn each mask on so many of its pixels, mostly uncertain ones, and match on the pixels
            from which they were chosen: memory no longer grows with cells x pixels. None: all pixels.
        activation: ``'sigmoid'`` or ``'softmax'`` of the activation maps.
        coord_order: 0 none, as published, 1 x and y (as SparseInst), 2 also x^2, x y, y^2: position channels
            for both branches.
        spatial_prior: start the activation maps as Gaussians of this standard deviation (half image sides) on
            a regular grid, one a query; needs ``coord_order=2``. 0: ordinary initialisation.
        num_fields: fields in which every pixel is moved to a place of its cell, learned; each adds a
            quadratic window around the query's centre to the mask logits (after Novotny et al.,
            Semi-convolutional Operators for Instance Segmentation).
        num_refine: refinements of the instance features by the masks they gave (QueryRefiner).
        objectness: ``None``; ``'iou'``: a layer on the instance features learns the IoU of matched masks by
            mean squared error, and the class probability becomes sqrt(class x IoU) (sparseseunet 5.7.3, eq.
            5.2; SparseInst for the square root); ``'quality'``: ours, MaskQuality learns it by BCE on
            features that it does not change, and multiplies the score.
        loss_objectness_weight: lambda of eq. 5.3.
        use_objectness: False: scores as without it, to see what it brings.
        matcher, loss_dice, loss_bce, loss_cls: configs of the registered parts.
        mask_thr: probability above which a pixel belongs to the cell.
        score_thr: queries that score less are not returned.
        nms_thr: queries whose mask repeats a better one with more than this IoU are not returned; None as
            published: all are.
        nms_sigma: lower the scores of queries whose mask repeats a better one (``matrix_nms``); None: not.
        norm: ``'BN'`` or ``'GN'``.
    """

    def __init__(
        self,
        in_specs: Sequence[FeatureSpec],
        num_queries: int = 100,
        num_classes: int = 1,
        feature_dim: int = 256,
        branch_channels: int = 256,
        mask_dim: int = 128,
        depth: int = 4,
        mask_level: int = 0,
        instance_level: int = 0,
        num_levels: int = 1,
        match_level: int = 0,
        num_points: int | None = None,
        activation: str = "sigmoid",
        coord_order: int = 0,
        spatial_prior: float = 0.0,
        num_fields: int = 0,
        num_refine: int = 0,
        objectness: str | None = None,
        loss_objectness_weight: float = 1.0,
        use_objectness: bool = True,
        matcher: dict | None = None,
        loss_dice: dict | None = None,
        loss_bce: dict | None = None,
        loss_cls: dict | None = None,
        mask_thr: float = 0.5,
        score_thr: float = 0.05,
        nms_thr: float | None = None,
        nms_sigma: float | None = None,
        norm: str = "BN",
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        in_channels = [spec.channels for spec in in_specs]
        check_whole(1, num_queries=num_queries, num_classes=num_classes, depth=depth)
        check_whole(1, feature_dim=feature_dim, branch_channels=branch_channels, mask_dim=mask_dim)
        check_whole(0, num_fields=num_fields, num_refine=num_refine, match_level=match_level)
        check_whole(0, mask_level=mask_level, instance_level=instance_level)
        check_share(mask_thr=mask_thr, score_thr=score_thr, nms_thr=nms_thr)
        if activation not in ("sigmoid", "softmax"):
            raise ValueError(f"activation must be 'sigmoid' or 'softmax', got {activation!r}")
        if spatial_prior and coord_order != 2:
            raise ValueError("spatial_prior needs coord_order=2")
        if objectness not in (None, "iou", "quality"):
            raise ValueError(f"objectness must be None, 'iou' or 'quality', got {objectness!r}")
        if num_points is not None and num_points < 1:
            raise ValueError(f"num_points must be None or 1 and more, got {num_points}")
        most = len(in_channels) - min(instance_level, mask_level)
        if not 1 <= num_levels <= most:
            raise ValueError(f"num_levels must be 1 to {most}, the decoder's levels, got {num_levels}")
        self.num_queries, self.num_classes = num_queries, num_classes
        self.stride = in_specs[mask_level].stride
        self.mask_level, self.instance_level, self.match_level = mask_level, instance_level, match_level
        self.mask_dim = mask_dim
        self.activation, self.coord_order = activation, coord_order
        self.num_levels, self.num_points, self.objectness = num_levels, num_points, objectness
        self.loss_objectness_weight, self.use_objectness = loss_objectness_weight, use_objectness
        self.mask_thr, self.score_thr = mask_thr, score_thr
        self.nms_thr, self.nms_sigma = nms_thr, nms_sigma
        num_coords = (0, 2, 5)[coord_order]
        self.num_coords, self.num_fields = num_coords, num_fields
        instance_in, mask_in = (
            [one + num_coords for one in in_channels[level : level + num_levels]]
            for level in (instance_level, mask_level)
        )
        self.instance_branch = TopDownBranch(instance_in, branch_channels, depth, norm)
        self.mask_branch = TopDownBranch(mask_in, branch_channels, depth, norm)
        self.mask_features = nn.Conv2d(branch_channels, mask_dim, 1)
        if num_fields:
            self.displacement = nn.Conv2d(branch_channels, 2 * num_fields, 1)
        self.iam = nn.Conv2d(branch_channels + num_coords, num_queries, 3, padding=1)
        pooled = branch_channels + instance_in[0]
        self.project = nn.Linear(pooled, feature_dim)
        self.refiners = nn.ModuleList(QueryRefiner(feature_dim, pooled) for _ in range(num_refine))
        self.classifier = nn.ModuleList(nn.Linear(feature_dim, num_classes) for _ in range(num_refine + 1))
        self.kernel = nn.ModuleList(
            nn.Linear(feature_dim, mask_dim + 5 * num_fields + 1) for _ in range(num_refine + 1)
        )
        if objectness == "quality":
            self.quality = MaskQuality(feature_dim)
        elif objectness == "iou":
            self.iou = nn.Linear(feature_dim, 1)
        self.matcher = TASK_UTILS.build(matcher or dict(type="HungarianMatcher"))
        self.loss_dice = MODELS.build(loss_dice or dict(type="DiceLoss", loss_weight=2.0))
        self.loss_bce = MODELS.build(loss_bce or dict(type="MaskBCELoss", loss_weight=5.0))
        self.loss_cls = MODELS.build(loss_cls or dict(type="SigmoidFocalLoss", loss_weight=2.0))
        self.num_unmatched = 0
        self._limits = LimitLog()
        self._reset(spatial_prior)

    def _reset(self, spatial_prior: float) -> None:
        """Rare positives: every query starts at a class probability of 0.01 (focal loss paper, 4.1)."""
        for classifier in self.classifier:
            nn.init.constant_(classifier.bias, -math.log(99))
        nn.init.normal_(self.iam.weight, std=0.01)
        nn.init.zeros_(self.iam.bias)
        if spatial_prior:
            window, constant = grid_of_gaussians(self.num_queries, spatial_prior)
            with torch.no_grad():
                self.iam.weight[:, -self.num_coords :, 1, 1] = window
                self.iam.bias.copy_(constant)

    def forward(self, features: list[Tensor]) -> dict:
        maps = [self._with_positions(one) for one in features[self.instance_level :][: self.num_levels]]
        x, coords = maps[0], coordinate_channels(maps[0], self.coord_order)
        instance = self.instance_branch(maps)
        maps = [self._with_positions(one) for one in features[self.mask_level :][: self.num_levels]]
        mask_x = self.mask_branch(maps)
        positions = self._positions(mask_x)
        basis = torch.cat([self.mask_features(mask_x).float(), monomials(positions)], 1)
        coarse_basis = resize_to(basis, features[self.match_level])

        maps = self._activation_maps(instance, coords)
        if self.activation == "sigmoid":
            maps = maps.sigmoid()
        else:
            maps = maps.flatten(2).softmax(-1).view_as(maps)
        pooled_from = torch.cat([instance, x], 1)
        places = resize_to(positions, x)
        queries = self.project(masked_average(maps, pooled_from))
        centres = masked_average(maps, places)

        stages = []
        for i in range(len(self.refiners) + 1):
            if i:
                probs = mask_logits(stages[-1]["kernels"], coarse_basis).detach().sigmoid()
                probs = resize_to(probs, x)
                centres = masked_average(probs, places)
                queries = self.refiners[i - 1](queries, probs, pooled_from)
            kernels = place_kernels(self.kernel[i](queries).float(), centres, self.mask_dim)
            stages.append(dict(cls_logits=self.classifier[i](queries).float(), kernels=kernels))
        stages[-1]["queries"] = queries
        return dict(stages=stages, basis=basis, coarse_basis=coarse_basis)

    def _with_positions(self, x: Tensor) -> Tensor:
        return torch.cat([x, coordinate_channels(x, self.coord_order).to(x.dtype)], 1)

    def _activation_maps(self, instance: Tensor, coords: Tensor) -> Tensor:
        """Logits (B, N, H, W) of ``iam``, float32; its part on the positions is computed in float32 too."""
        content, place = self.iam.weight.split([instance.shape[1], coords.shape[1]], dim=1)
        maps = F.conv2d(instance, content, padding=1).float() + self.iam.bias[:, None, None]
        if not self.num_coords:
            return maps
        with torch.autocast(instance.device.type, enabled=False):
            return maps + F.conv2d(coords, place, padding=1)

    def _positions(self, mask_x: Tensor) -> Tensor:
        """Displaced pixel positions, float32 (B, 2 num_fields, H, W): x and y of every field."""
        if not self.num_fields:
            return mask_x.new_zeros(len(mask_x), 0, *mask_x.shape[-2:], dtype=torch.float32)
        position = coordinate_channels(mask_x, 1).repeat(1, self.num_fields, 1, 1)
        return position + self.displacement(mask_x).float()

    def loss(self, features: list[Tensor], samples: list) -> dict[str, Tensor]:
        """``loss_dice``, ``loss_bce`` on matched pairs, ``loss_cls`` on all; ``_i`` for stage i.

        With objectness also ``loss_objectness``, of the last stage.
        """
        outputs = self(features)
        labels = [s.gt_instances.labels for s in samples]
        for label, sample in zip(labels, samples, strict=True):
            check_labels(label, self.num_classes, sample)
        self._count_unmatched(labels, samples)
        learned, matched_on = self._pixels(outputs, samples)
        normalizer = mean_over_ranks(
            sum(min(len(label), self.num_queries) for label in labels), outputs["basis"]
        )
        losses: dict[str, Tensor] = {}
        for i, stage in enumerate(outputs["stages"]):
            suffix = "" if i == len(outputs["stages"]) - 1 else f"_{i}"
            cls_targets = torch.zeros_like(stage["cls_logits"])
            logits, targets, pairs = [], [], []
            for b, label in enumerate(labels):
                kernels = stage["kernels"][b : b + 1]
                basis, masks = matched_on[b]
                with torch.no_grad():
                    all_logits = mask_logits(kernels, basis)[0].flatten(1)
                query, cell = self.matcher(stage["cls_logits"][b], all_logits, label, masks)
                cls_targets[b, query, label[cell]] = 1
                basis, masks = learned[b]
                pair_logits, pair_targets = (
                    mask_logits(kernels[:, query], basis)[0].flatten(1),
                    masks[cell],
                )
                if self.num_points is not None:
                    points = uncertain_points(pair_logits, self.num_points)
                    pair_logits, pair_targets = pair_logits.gather(1, points), pair_targets.gather(1, points)
                logits.append(pair_logits)
                targets.append(pair_targets)
                pairs.append((query, cell))
            pair_logits, pair_targets = torch.cat(logits), torch.cat(targets)
            losses[f"loss_dice{suffix}"] = self.loss_dice(pair_logits, pair_targets, avg_factor=normalizer)
            losses[f"loss_bce{suffix}"] = self.loss_bce(pair_logits, pair_targets, avg_factor=normalizer)
            losses[f"loss_cls{suffix}"] = self.loss_cls(
                stage["cls_logits"], cls_targets, avg_factor=normalizer
            )
        if self.objectness:
            losses["loss_objectness"] = self._objectness_loss(outputs, samples, pairs, normalizer)
        return losses

    def _pixels(
        self, outputs: dict, samples: list
    ) -> tuple[list[tuple[Tensor, Tensor]], list[tuple[Tensor, Tensor]]]:
        """What the losses see and what is matched on: for each image a basis (1, E, h, w) and the cells'
        masks on it, (M, h w); all pixels, or candidates for points as one column."""
        basis, shape = outputs["basis"], outputs["basis"].shape[-2:]
        if self.num_points is None:
            masks = [s.gt_masks(self.stride, shape) for s in samples]
            coarse = [resize_to(one[None], outputs["coarse_basis"])[0].flatten(1) for one in masks]
            learned = [one.flatten(1) for one in masks]
            return list(zip(basis.split(1), learned, strict=True)), list(
                zip(outputs["coarse_basis"].split(1), coarse, strict=True)
            )
        parts = []
        for one, sample in zip(basis.split(1), samples, strict=True):
            pixels = candidate_pixels(self.num_points, sample.gt_layers, self.stride, shape)
            parts.append((one.flatten(2)[:, :, pixels, None], sample.gt_masks_at(pixels, self.stride, shape)))
        return parts, parts

    def _objectness_loss(
        self, outputs: dict, samples: list, pairs: list[tuple[Tensor, Tensor]], normalizer: Tensor
    ) -> Tensor:
        """Of matched queries, some at a time: the objectness with the IoU of the whole mask with its cell."""
        stage, shape = outputs["stages"][-1], outputs["basis"].shape[-2:]
        total = stage["queries"].sum() * 0
        for b, (query, cell) in enumerate(pairs):
            masks = samples[b].gt_masks(self.stride, shape) >= 0.5
            for some, cells in zip(query.split(CHUNK), cell.split(CHUNK), strict=True):
                with torch.no_grad():
                    logits = mask_logits(stage["kernels"][b : b + 1, some], outputs["basis"][b : b + 1])[0]
                    inside = logits.sigmoid() > self.mask_thr
                    iou = mask_iou(inside.flatten(1), masks[cells].flatten(1))
                cls_probs = stage["cls_logits"][b, some].detach().sigmoid().amax(-1)
                predicted = self._objectness_logits(stage["queries"][b, some], logits, cls_probs)
                if self.objectness == "iou":
                    total = total + (predicted.sigmoid() - iou).square().sum()
                else:
                    total = total + F.binary_cross_entropy_with_logits(predicted, iou, reduction="sum")
        return self.loss_objectness_weight * total / normalizer

    def _objectness_logits(self, queries: Tensor, logits: Tensor, cls_probs: Tensor) -> Tensor:
        """Expected IoU, as a logit, of K masks with mask logits (K, h, w) and class probabilities (K,)."""
        if self.objectness == "quality":
            return self.quality(queries, logits, cls_probs)
        return self.iou(queries).float()[:, 0]

    def _count_unmatched(self, labels: list[Tensor], samples: list) -> None:
        text = f"{{}} cells have no query and are not learned; set num_queries ({self.num_queries}) higher"
        for label, sample in zip(labels, samples, strict=True):
            if (unmatched := len(label) - self.num_queries) > 0:
                self.num_unmatched += unmatched
                self._limits.say(sample.get("img_path"), {text: unmatched})

    def predict(self, features: list[Tensor], samples: list) -> list[PredictedInstances]:
        """The instances of each image, whole maps (n, H', W') at the masks' stride, best first.

        Score = class probability x maskness, the mean probability over the pixels of the mask
        (sparseseunet 4.5.3); see ``objectness`` for the others. Masks are computed only for queries whose
        class probability can pass.
        """
        outputs = self(features)
        stage, results = outputs["stages"][-1], []
        for b in range(len(outputs["basis"])):
            cls_probs, labels = stage["cls_logits"][b].sigmoid().max(-1)
            objectness = self.objectness if self.use_objectness else None
            # no score is higher than the class probability, or than its square root
            able = cls_probs > (self.score_thr**2 if objectness == "iou" else self.score_thr)
            logits = mask_logits(stage["kernels"][b : b + 1, able], outputs["basis"][b : b + 1])[0]
            probs = logits.sigmoid()
            inside = probs > self.mask_thr
            pixels = inside.sum((1, 2))
            scores, maskness = cls_probs[able], (probs * inside).sum((1, 2)) / pixels.clamp(min=1)
            if objectness is not None:
                iou = self._objectness_logits(stage["queries"][b, able], logits, scores).sigmoid()
                scores = (scores * iou).sqrt() if objectness == "iou" else scores * iou
            scores = scores * maskness
            order = scores.argsort(descending=True)
            order = order[(scores[order] > self.score_thr) & (pixels[order] > 0)]
            reached = {ALL_IN_USE: self.num_queries} if len(order) == self.num_queries else {}
            if self.nms_thr is not None:
                order = order[mask_nms(inside[order], self.nms_thr, labels[able][order])]
            if self.nms_sigma is not None:
                lowered = matrix_nms(inside[order], scores[order], self.nms_sigma, labels[able][order])
                scores = scores.clone().index_copy_(0, order, lowered)
                order = order[lowered.argsort(descending=True, stable=True)]
                order = order[scores[order] > self.score_thr]
            results.append(
                PredictedInstances(
                    probs=probs[order],
                    scores=scores[order],
                    labels=labels[able][order],
                    stride=self.stride,
                    mask_thr=self.mask_thr,
                    limits=reached,
                )
            )
        return results
