"""Instances from activation maps: the head of SparseSEUNet."""

import math
from collections.abc import Callable, Sequence

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from cellmm.checks import check_whole
from cellmm.models.derive import build_part
from cellmm.models.feature_spec import FeatureSpec, channels_of, check_first_pixel
from cellmm.models.heads.base import HeadExport, sides
from cellmm.models.heads.class_check import check_cells
from cellmm.models.heads.mask_scores import maskness
from cellmm.models.heads.set_criterion import MatchedLosses
from cellmm.models.layers import QueryRefiner, masked_average
from cellmm.models.layers.mask_kernels import mask_logits, resize_to
from cellmm.models.limits import LimitLog
from cellmm.models.losses.functional import mask_iou
from cellmm.models.renamed_keys import rename_on_load
from cellmm.registry import MODELS, TASK_UTILS
from cellmm.structures import CellSample, PredictedInstances

CHUNK = 16  # whole masks held at a time


@MODELS.register_module()
class IAMHead(BaseModule):
    """N activation maps -> N instance features -> N classes and mask kernels. Source: sparseseunet 4.5.

    The instance branch makes a map I of a decoder map X, and ``activation`` makes N maps of I. The average of
    I and X under each of them is projected to an instance feature. (As published, the projection comes before
    the average: the same by linearity, but slower.) Linear layers turn the feature into the class logits and
    the mask kernel of the query; the kernel, applied to the basis of the mask branch, gives the mask.

    By default all parts are as published. Positions (``coord_order``) and refinement are ours.

    ``forward``: list of (B, D, H, W), finest first -> dict(``stages``: for the activation maps and each
    refinement dict(``cls_logits`` (B, N, K), ``kernels`` (B, N, E + 1)), the last one with ``queries``
    (B, N, ``feature_dim``); ``basis`` (B, E, H', W') that the kernels act on; ``coarse_basis``, the same at
    the level that masks are matched at). ``mask_logits(kernels, basis)`` puts the two together.

    Args:
        in_specs: of the decoder's maps, finest first. The model gives it.
        num_queries: N, more than the most cells in an image; a warning names images in which all are in use.
        num_classes: K.
        feature_dim: size of an instance feature, 256 as published.
        coord_order: pixel positions for both branches and the activation maps: 0 none, as published, 1 x and
            y, as SparseInst, 2 also x^2, x y and y^2.
        num_refine: how often the instance features are refined by the masks that they gave, see QueryRefiner.
        instance_branch: config of TopDownBranch. What this and other parts must offer is in heads.parts.
        mask_branch: config of MaskBranch; the masks have the stride of its ``level``.
        activation: config of InstanceActivation or SoftmaxInstanceActivation.
        criterion: config of SetCriterion: matcher and losses.
        objectness: config of IoUObjectness or MaskQuality, which learn the IoU of a mask for its score.
        test_cfg: ``mask_thr``, ``score_thr`` and ``nms``, see InstanceTestCfg.
    """

    # see heads.base.OwnsParts
    default_parts = dict(
        instance_branch="TopDownBranch",
        mask_branch="MaskBranch",
        activation="InstanceActivation",
        criterion="SetCriterion",
        test_cfg="InstanceTestCfg",
    )
    part_arguments = dict(
        instance_branch=("in_channels", "coord_order"),
        mask_branch=("in_channels", "coord_order"),
        activation=("in_channels", "num_queries", "coord_order"),
        objectness=("num_features",),
    )

    def __init__(
        self,
        in_specs: Sequence[FeatureSpec],
        num_queries: int = 100,
        num_classes: int = 1,
        feature_dim: int = 256,
        coord_order: int = 0,
        num_refine: int = 0,
        instance_branch: dict | None = None,
        mask_branch: dict | None = None,
        activation: dict | None = None,
        criterion: dict | None = None,
        objectness: dict | None = None,
        test_cfg: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        check_whole(1, num_queries=num_queries, num_classes=num_classes, feature_dim=feature_dim)
        check_whole(0, num_refine=num_refine)
        check_first_pixel(in_specs, "IAMHead")
        self.num_queries, self.num_classes = num_queries, num_classes
        inputs = dict(in_channels=channels_of(in_specs), coord_order=coord_order)
        self.instance_branch = build_part(self, MODELS, "instance_branch", instance_branch, **inputs)
        self.mask_branch = build_part(self, MODELS, "mask_branch", mask_branch, **inputs)
        channels = self.instance_branch.channels
        self.activation = build_part(
            self,
            MODELS,
            "activation",
            activation,
            in_channels=channels,
            num_queries=num_queries,
            coord_order=coord_order,
        )
        pooled = channels + self.instance_branch.in_channels[0]
        kernel_size = self.mask_branch.kernel_size
        self.project = nn.Linear(pooled, feature_dim)
        self.refiners = nn.ModuleList(QueryRefiner(feature_dim, pooled) for _ in range(num_refine))
        self.classifier = nn.ModuleList(nn.Linear(feature_dim, num_classes) for _ in range(num_refine + 1))
        self.kernel = nn.ModuleList(nn.Linear(feature_dim, kernel_size) for _ in range(num_refine + 1))
        self.objectness = None
        if objectness is not None:
            self.objectness = build_part(self, MODELS, "objectness", objectness, num_features=feature_dim)
        self.criterion = build_part(self, MODELS, "criterion", criterion)
        self.test_cfg = build_part(self, TASK_UTILS, "test_cfg", test_cfg)
        self.score_thrs = {"test_cfg.score_thr": self.test_cfg.score_thr}
        self.out_spec = in_specs[self.mask_branch.level]
        self.num_unmatched = 0
        self.graphs: dict[str, Callable] = {}
        self._limits = LimitLog()
        self._reset_parameters()
        rename_on_load(
            self,
            {
                "mask_features.": "mask_branch.features.",
                "displacement.": "mask_branch.displacement.",
                "iam.": "activation.conv.",
                "quality.": "objectness.",
                "iou.": "objectness.linear.",
            },
        )

    def _reset_parameters(self) -> None:
        """Rare positives: every query starts at a class probability of 0.01 (focal loss paper, 4.1)."""
        for classifier in self.classifier:
            nn.init.constant_(classifier.bias, -math.log(99))
        self.activation.reset_parameters()

    def forward(self, features: list[Tensor]) -> dict:
        maps = self.instance_branch.inputs(features)
        instance = self.instance_branch.merge(maps)
        basis, coarse_basis, positions = self.mask_branch(features)
        places = resize_to(positions, instance)
        pooled_from = torch.cat([instance, maps[0]], 1)
        weights = self.activation(instance)
        queries = self.project(masked_average(weights, pooled_from))
        stages = [self._stage(0, queries, masked_average(weights, places))]
        for i, refiner in enumerate(self.refiners, start=1):
            probs = mask_logits(stages[-1]["kernels"], coarse_basis).detach().sigmoid()
            probs = resize_to(probs, instance)
            queries = refiner(queries, probs, pooled_from)
            stages.append(self._stage(i, queries, masked_average(probs, places)))
        stages[-1]["queries"] = queries
        return dict(stages=stages, basis=basis, coarse_basis=coarse_basis)

    def _stage(self, i: int, queries: Tensor, centres: Tensor) -> dict[str, Tensor]:
        """Classes and kernels of instance features (B, N, F) whose windows lie around ``centres``."""
        kernels = self.mask_branch.place(self.kernel[i](queries).float(), centres)
        return dict(cls_logits=self.classifier[i](queries).float(), kernels=kernels)

    @property
    def export(self) -> HeadExport:
        """The last stage and the basis; the objectness is a graph of its own. See HeadExport."""

        def outputs(found: dict) -> dict:
            keys = ("cls_logits", "kernels") + (() if self.objectness is None else ("queries",))
            return dict(
                stages=[{key: found["stages"][-1][key] for key in keys}],
                basis=found["basis"],
            )

        if self.objectness is None:
            return HeadExport(outputs=outputs)

        def examples(number: int, size: int) -> dict:
            queries = torch.randn(number, self.project.out_features)
            rows, cols = sides(size)
            logits = torch.randn(number, 8 * rows, 8 * cols)
            return dict(queries=queries, logits=logits, probs=torch.rand(number))

        return HeadExport(
            outputs=outputs,
            calls=dict(objectness=self.objectness),
            examples=dict(objectness=examples),
            results=dict(objectness=("expected_iou",)),
        )

    def loss(self, features: list[Tensor], samples: list[CellSample]) -> dict[str, Tensor]:
        """The losses of ``criterion`` and, with objectness, ``loss_objectness``, of the last stage."""
        self.num_unmatched += check_cells(samples, self.num_classes, self.num_queries, self._limits)
        outputs = self(features)
        matched = self.criterion(outputs, samples, self.out_spec.stride)
        if self.objectness is None:
            return matched.losses
        return dict(matched.losses, loss_objectness=self._objectness_loss(outputs, samples, matched))

    def _objectness_loss(
        self, outputs: dict, samples: Sequence[CellSample], matched: MatchedLosses
    ) -> Tensor:
        """Of matched queries, some at a time: the objectness with the IoU of the whole mask with its cell."""
        stage, basis = outputs["stages"][-1], outputs["basis"]
        predicted, ious = [], []
        for b, (query, cell) in enumerate(matched.pairs):
            masks = samples[b].gt_masks(self.out_spec.stride, basis.shape[-2:]) >= 0.5
            for some, cells in zip(query.split(CHUNK), cell.split(CHUNK), strict=True):
                with torch.no_grad():
                    logits = mask_logits(stage["kernels"][b : b + 1, some], basis[b : b + 1])[0]
                    inside = logits.sigmoid() > self.test_cfg.mask_thr
                    ious.append(mask_iou(inside.flatten(1), masks[cells].flatten(1)))
                cls_probs = stage["cls_logits"][b, some].detach().sigmoid().amax(-1)
                predicted.append(self.objectness(stage["queries"][b, some], logits, cls_probs))
        return self.objectness.loss(torch.cat(predicted), torch.cat(ious), avg_factor=matched.num_pairs)

    def predict(self, features: list[Tensor], samples: list[CellSample]) -> list[PredictedInstances]:
        """The instances of each image, as whole maps, best first.

        Score = class probability, changed by the objectness, x maskness.
        """
        outputs = self(features)
        return [self._predict_image(outputs, b) for b in range(len(outputs["basis"]))]

    def _predict_image(self, outputs: dict, b: int) -> PredictedInstances:
        """Masks are computed only for queries whose class probability can pass."""
        stage, cfg = outputs["stages"][-1], self.test_cfg
        cls_probs, labels = stage["cls_logits"][b].sigmoid().max(-1)
        least = cfg.score_thr if self.objectness is None else self.objectness.least_prob(cfg.score_thr)
        able = cls_probs > least
        logits = mask_logits(stage["kernels"][b : b + 1, able], outputs["basis"][b : b + 1])[0]
        probs, scores, labels = logits.sigmoid(), cls_probs[able], labels[able]
        if self.objectness is not None:
            expected_iou = self.graphs.get("objectness", self.objectness)
            expected = expected_iou(stage["queries"][b, able], logits, scores)
            scores = self.objectness.score(scores, expected)
        scores = scores * maskness(probs, probs > cfg.mask_thr)
        return cfg.instances(probs, scores, labels, self.out_spec.stride, self.num_queries)
