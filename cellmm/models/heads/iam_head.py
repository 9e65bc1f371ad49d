"""Instances from activation maps: the head of SparseSEUNet."""

import logging
import math
from collections.abc import Sequence

import torch
from mmengine.logging import print_log
from mmengine.model import BaseModule
from mmengine.structures import InstanceData
from torch import Tensor, nn
from torch.nn import functional as F

from cellmm.models.heads.labels import check_labels
from cellmm.models.layers import ConvStack, QueryRefiner, coordinate_channels, masked_average
from cellmm.models.losses.functional import mean_over_ranks
from cellmm.models.postprocess.mask_nms import mask_nms
from cellmm.registry import MODELS, TASK_UTILS


def mask_logits(kernels: Tensor, basis: Tensor) -> Tensor:
    """kernels (B, N, D + 1), the last one a bias, on the basis (B, D, H, W) -> logits (B, N, H, W).

    Linear in the basis: logits averaged over blocks are the logits on the averaged basis. In float32: the
    quadratics of a position are large terms with a small sum.
    """
    with torch.autocast(basis.device.type, enabled=False):
        return torch.einsum("bnd,bdhw->bnhw", kernels[..., :-1], basis) + kernels[..., -1:, None]


def _monomials(positions: Tensor) -> Tensor:
    """x, y, x^2, x y, y^2 of every field: (B, 2 fields, H, W) -> (B, 5 fields, H, W)."""
    x, y = positions[:, 0::2], positions[:, 1::2]
    return torch.cat([x, y, x * x, x * y, y * y], 1)


def _resize(x: Tensor, like: Tensor) -> Tensor:
    """Average (B, C, H, W) down to the size of ``like``."""
    return x if x.shape[-2:] == like.shape[-2:] else F.interpolate(x, size=like.shape[-2:], mode="area")


@MODELS.register_module()
class IAMHead(BaseModule):
    """N activation maps -> N instance features -> N classes and mask kernels. Source: sparseseunet 4.5.

    Instance branch: I = ``depth`` 3x3 blocks of X; activation maps A = F(I), a 3x3 convolution to N maps,
    through a sigmoid and normalised to a sum of 1 (or a softmax over pixels); a = A' X^T (eq. 4.9), projected
    to ``feature_dim``. Linear layers give the class logits and the kernel of each query. Mask branch: M =
    ``depth`` 3x3 blocks of X; mask logits = kernel . M + bias. (The projection follows the pooling, which is
    the same by linearity and cheaper; the pooled features are X and I.)

    Ours, off by default: pixel positions as polynomials, a start from a grid of Gaussians, displaced position
    fields, and refinement of the instance features by the masks they gave.

    ``forward``: list of (B, D, H, W), finest first -> dict(``stages``: for the activation maps and each
    refinement dict(``cls_logits`` (B, N, K), ``kernels`` (B, N, E + 1)); ``basis`` (B, E, H', W') that the
    kernels act on; ``coarse_basis`` the same at ``match_level``). ``mask_logits(kernels, basis)`` puts the
    two together.

    Args:
        in_channels: channels of the decoder's maps, finest first.
        stride: pixels of the input that a pixel of map ``mask_level`` stands for.
        num_queries: N, more than the most cells in an image.
        num_classes: K.
        feature_dim: size of an instance feature, 256 as published.
        branch_channels: width of the two branches.
        mask_dim: mask features, the length of a kernel.
        depth: 3x3 blocks in each branch, 4 as published.
        mask_level, instance_level: which decoder map each branch reads; 0, the finest, as published.
        match_level: the map whose size the masks have when queries and cells are matched, and when masks
            pool features; 0: full resolution. Losses always see the full resolution.
        activation: ``'sigmoid'`` or ``'softmax'`` of the activation maps.
        coord_order: 0 none, 1 x and y, 2 also x^2, x y, y^2: position channels for both branches.
        spatial_prior: start the activation maps as Gaussians of this standard deviation (half image sides) on
            a regular grid, one a query; needs ``coord_order=2``. 0: ordinary initialisation.
        num_fields: fields in which every pixel is moved to a place of its cell, learned; each adds a
            quadratic window around the query's centre to the mask logits (after Novotny et al.,
            Semi-convolutional Operators for Instance Segmentation).
        num_refine: refinements of the instance features by the masks they gave (QueryRefiner).
        matcher, loss_dice, loss_bce, loss_cls: configs of the registered parts.
        mask_thr: probability above which a pixel belongs to the cell.
        score_thr: queries that score less are not returned.
        nms_thr: queries whose mask repeats a better one with more than this IoU are not returned; None as
            published: all are.
        norm: ``'BN'`` or ``'GN'``.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        stride: int,
        num_queries: int = 100,
        num_classes: int = 1,
        feature_dim: int = 256,
        branch_channels: int = 256,
        mask_dim: int = 128,
        depth: int = 4,
        mask_level: int = 0,
        instance_level: int = 0,
        match_level: int = 0,
        activation: str = "sigmoid",
        coord_order: int = 1,
        spatial_prior: float = 0.0,
        num_fields: int = 0,
        num_refine: int = 0,
        matcher: dict | None = None,
        loss_dice: dict | None = None,
        loss_bce: dict | None = None,
        loss_cls: dict | None = None,
        mask_thr: float = 0.5,
        score_thr: float = 0.05,
        nms_thr: float | None = None,
        norm: str = "BN",
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if activation not in ("sigmoid", "softmax"):
            raise ValueError(f"activation must be 'sigmoid' or 'softmax', got {activation!r}")
        if spatial_prior and coord_order != 2:
            raise ValueError("spatial_prior needs coord_order=2")
        self.stride, self.num_queries, self.num_classes = stride, num_queries, num_classes
        self.mask_level, self.instance_level, self.match_level = mask_level, instance_level, match_level
        self.mask_dim = mask_dim
        self.activation, self.coord_order = activation, coord_order
        self.mask_thr, self.score_thr, self.nms_thr = mask_thr, score_thr, nms_thr
        num_coords = (0, 2, 5)[coord_order]
        self.num_coords, self.num_fields = num_coords, num_fields
        instance_in = in_channels[instance_level] + num_coords
        mask_in = in_channels[mask_level] + num_coords

        self.instance_branch = ConvStack(instance_in, branch_channels, depth=depth, norm=norm, se=False)
        self.mask_branch = ConvStack(mask_in, branch_channels, depth=depth, norm=norm, se=False)
        self.mask_features = nn.Conv2d(branch_channels, mask_dim, 1)
        if num_fields:
            self.displacement = nn.Conv2d(branch_channels, 2 * num_fields, 1)
        self.iam = nn.Conv2d(branch_channels + num_coords, num_queries, 3, padding=1)
        pooled = branch_channels + instance_in
        self.project = nn.Linear(pooled, feature_dim)
        self.refiners = nn.ModuleList(QueryRefiner(feature_dim, pooled) for _ in range(num_refine))
        self.classifier = nn.ModuleList(nn.Linear(feature_dim, num_classes) for _ in range(num_refine + 1))
        self.kernel = nn.ModuleList(
            nn.Linear(feature_dim, mask_dim + 5 * num_fields + 1) for _ in range(num_refine + 1)
        )
        self.matcher = TASK_UTILS.build(matcher or dict(type="HungarianMatcher"))
        self.loss_dice = MODELS.build(loss_dice or dict(type="DiceLoss", loss_weight=2.0))
        self.loss_bce = MODELS.build(loss_bce or dict(type="MaskBCELoss", loss_weight=5.0))
        self.loss_cls = MODELS.build(loss_cls or dict(type="SigmoidFocalLoss", loss_weight=2.0))
        self.num_unmatched = 0
        self._reset(spatial_prior)

    def _reset(self, spatial_prior: float) -> None:
        """Rare positives: every query starts at a class probability of 0.01 (focal loss paper, 4.1)."""
        for classifier in self.classifier:
            nn.init.constant_(classifier.bias, -math.log(99))
        nn.init.normal_(self.iam.weight, std=0.01)
        nn.init.zeros_(self.iam.bias)
        if spatial_prior:
            with torch.no_grad():
                side = math.ceil(math.sqrt(self.num_queries))
                rows = math.ceil(self.num_queries / side)
                index = torch.arange(self.num_queries)
                x = (index % side + 0.5) / side * 2 - 1
                y = (index // side + 0.5) / rows * 2 - 1
                precision = torch.full_like(x, spatial_prior**-2)
                zero = torch.zeros_like(x)
                window = torch.stack(
                    [x * precision, y * precision, -precision / 2, zero, -precision / 2], dim=1
                )
                self.iam.weight[:, -self.num_coords :, 1, 1] = window
                self.iam.bias.copy_(2 - (x**2 + y**2) * precision / 2)

    def forward(self, features: list[Tensor]) -> dict:
        x, mask_x = features[self.instance_level], features[self.mask_level]
        coords = coordinate_channels(x, self.coord_order)
        mask_coords = coordinate_channels(mask_x, self.coord_order)
        x = torch.cat([x, coords.to(x.dtype)], 1)
        instance = self.instance_branch(x)
        mask_x = self.mask_branch(torch.cat([mask_x, mask_coords.to(mask_x.dtype)], 1))
        positions = self._positions(mask_x)
        basis = torch.cat([self.mask_features(mask_x).float(), _monomials(positions)], 1)
        coarse_basis = _resize(basis, features[self.match_level])

        maps = self._activation_maps(instance, coords)
        if self.activation == "sigmoid":
            maps = maps.sigmoid()
        else:
            maps = maps.flatten(2).softmax(-1).view_as(maps)
        pooled_from = torch.cat([instance, x], 1)
        places = _resize(positions, x)
        queries = self.project(masked_average(maps, pooled_from))
        centres = masked_average(maps, places)

        stages = []
        for i in range(len(self.refiners) + 1):
            if i:
                probs = mask_logits(stages[-1]["kernels"], coarse_basis).detach().sigmoid()
                probs = _resize(probs, x)
                centres = masked_average(probs, places)
                queries = self.refiners[i - 1](queries, probs, pooled_from)
            kernels = self._place_kernels(self.kernel[i](queries).float(), centres)
            stages.append(dict(cls_logits=self.classifier[i](queries).float(), kernels=kernels))
        return dict(stages=stages, basis=basis, coarse_basis=coarse_basis)

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

    def _place_kernels(self, kernels: Tensor, centres: Tensor) -> Tensor:
        """Turn quadratics in (position - centre) into quadratics in the position; the rest stays.

        (B, N, mask_dim + 5 num_fields + 1) and centres (B, N, 2 num_fields) -> as ``kernels``.
        """
        if not self.num_fields:
            return kernels
        content, quadratic, bias = kernels.split([self.mask_dim, 5 * self.num_fields, 1], dim=-1)
        cx, cy = centres[..., 0::2], centres[..., 1::2]
        px, py, pxx, pxy, pyy = (4 * quadratic).chunk(5, dim=-1)
        pxx, pyy = pxx - 4, pyy - 4  # starts as a Gaussian window of standard deviation 0.35
        quadratic = torch.cat(
            [px - 2 * pxx * cx - pxy * cy, py - 2 * pyy * cy - pxy * cx, pxx, pxy, pyy], dim=-1
        )
        shift = pxx * cx * cx + pxy * cx * cy + pyy * cy * cy - px * cx - py * cy
        return torch.cat([content, quadratic, bias + shift.sum(-1, keepdim=True)], dim=-1)

    def loss(self, features: list[Tensor], samples: list) -> dict[str, Tensor]:
        """``loss_dice``, ``loss_bce`` on matched pairs, ``loss_cls`` on all; ``_i`` for stage i."""
        outputs = self(features)
        masks = [s.gt_masks(self.stride, outputs["basis"].shape[-2:]) for s in samples]
        coarse = [_resize(m[None], outputs["coarse_basis"])[0].flatten(1) for m in masks]
        masks = [m.flatten(1) for m in masks]
        labels = [s.gt_instances.labels for s in samples]
        for label, sample in zip(labels, samples, strict=True):
            check_labels(label, self.num_classes, sample)
        self._count_unmatched(labels)
        normalizer = mean_over_ranks(sum(min(len(label), self.num_queries) for label in labels), masks[0])
        losses: dict[str, Tensor] = {}
        for i, stage in enumerate(outputs["stages"]):
            suffix = "" if i == len(outputs["stages"]) - 1 else f"_{i}"
            coarse_logits = mask_logits(stage["kernels"], outputs["coarse_basis"]).detach().flatten(2)
            cls_targets = torch.zeros_like(stage["cls_logits"])
            logits, targets = [], []
            for b, label in enumerate(labels):
                query, cell = self.matcher(stage["cls_logits"][b], coarse_logits[b], label, coarse[b])
                cls_targets[b, query, label[cell]] = 1
                kernels = stage["kernels"][b : b + 1, query]
                logits.append(mask_logits(kernels, outputs["basis"][b : b + 1])[0].flatten(1))
                targets.append(masks[b][cell])
            pairs, pair_targets = torch.cat(logits), torch.cat(targets)
            losses[f"loss_dice{suffix}"] = self.loss_dice(pairs, pair_targets, normalizer)
            losses[f"loss_bce{suffix}"] = self.loss_bce(pairs, pair_targets, normalizer)
            losses[f"loss_cls{suffix}"] = self.loss_cls(stage["cls_logits"], cls_targets, normalizer)
        return losses

    def _count_unmatched(self, labels: list[Tensor]) -> None:
        unmatched = sum(max(0, len(label) - self.num_queries) for label in labels)
        if unmatched:
            self.num_unmatched += unmatched
            print_log(
                f"{self.num_unmatched} cells so far had no query: raise num_queries ({self.num_queries})",
                logger="current",
                level=logging.WARNING,
            )

    def predict(self, features: list[Tensor], samples: list) -> list[InstanceData]:
        """Per image ``mask_probs`` (n, H', W') at the masks' stride, ``scores``, ``labels``, best first.

        Score = class probability x maskness, the mean probability over the pixels of the mask
        (sparseseunet 4.5.3). Masks are computed only for queries whose class probability can pass.
        """
        outputs = self(features)
        results = []
        for b in range(len(outputs["basis"])):
            cls_probs, labels = outputs["stages"][-1]["cls_logits"][b].sigmoid().max(-1)
            able = cls_probs > self.score_thr
            kernels = outputs["stages"][-1]["kernels"][b : b + 1, able]
            probs = mask_logits(kernels, outputs["basis"][b : b + 1])[0].sigmoid()
            inside = probs > self.mask_thr
            pixels = inside.sum((1, 2))
            scores = cls_probs[able] * (probs * inside).sum((1, 2)) / pixels.clamp(min=1)
            order = scores.argsort(descending=True)
            order = order[(scores[order] > self.score_thr) & (pixels[order] > 0)]
            if self.nms_thr is not None:
                order = order[mask_nms(inside[order], self.nms_thr)]
            results.append(
                InstanceData(mask_probs=probs[order], scores=scores[order], labels=labels[able][order])
            )
        return results
