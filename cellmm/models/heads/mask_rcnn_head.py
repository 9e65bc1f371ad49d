"""Boxes, and a mask in each: the head of Mask R-CNN, built on torchvision."""

from collections import OrderedDict
from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F

from cellmm.checks import check_share, check_whole
from cellmm.errors import CellMMError
from cellmm.models.feature_spec import FeatureSpec
from cellmm.models.heads.class_check import check_labels
from cellmm.models.heads.roi_masks import masks_on_grids, paste_masks
from cellmm.registry import MODELS, TASK_UTILS
from cellmm.structures import CellSample, LabelLayers, PredictedInstances

BOX_SIDE = 7  # of what RoIAlign cuts out for the boxes
CHUNK = 64  # masks that are computed at once when predicting
PROPOSALS_CUT = "{} likely places were not looked at; raise max_proposals of MaskRCNNHead"
DETECTIONS_CUT = "{} cells of the lowest scores were left out; raise max_detections of MaskRCNNHead"


@MODELS.register_module()
class MaskRCNNHead(BaseModule):
    """Region proposals, a class and a box for each, and a mask in each box. Masks may overlap.

    After an FPNDecoder on a ResNetEncoder it is the Mask R-CNN of torchvision: ``maskrcnn_resnet50_fpn``, or
    with ``v2`` ``maskrcnn_resnet50_fpn_v2``, whose weights ``load_from`` takes (``torchvision_names``). What
    lies mostly in ``ignore`` counts neither as cell nor as background. Images may have no cells.
    Source: Mask R-CNN; maskrcnn-report.

    Losses: ``loss_objectness`` and ``loss_rpn_box_reg`` of the proposals, ``loss_classifier``,
    ``loss_box_reg`` and ``loss_mask``, the binary cross-entropy with the share of each square of the grid
    that the cell covers.

    Args:
        in_specs: of the maps, finest first: equal channels, strides that double. The model gives them.
        num_classes: K, without the background.
        v2: two convolutions in the proposals' network, four with batch norms before the class and the box,
            batch norms in the mask branch.
        anchor_scales, anchor_ratios: side of the anchors in pixels of each map, and height / width.
        max_proposals: per level before suppression and per image after it; None: all. What it cuts that the
            network takes for a cell is said with its number.
        max_detections: per image; None: all. torchvision cuts at 100.
        rpn_nms, box_nms: IoU of boxes above which the lower score is dropped; None: no box is, which leaves
            it to the masks (``test_cfg.nms``). Boxes of long cells that cross share more than their masks.
        rpn_samples, roi_samples: anchors and boxes per image to learn from.
        box_hidden, mask_hidden: of the box branch and of the mask predictor.
        mask_roi_size, mask_deconvs: the mask has ``mask_roi_size * 2**mask_deconvs`` squares per side of its
            box, 28 as published; long thin cells need more.
        test_cfg: config of InstanceTestCfg.
    """

    torchvision_names = {
        # names of torchvision before its version 0.13
        **{f"rpn.head.conv.{kind}": f"rpn.head.conv.0.0.{kind}" for kind in ("weight", "bias")},
        **{
            f"roi_heads.mask_head.mask_fcn{i + 1}.{kind}": f"roi_heads.mask_head.{i}.0.{kind}"
            for i in range(4)
            for kind in ("weight", "bias")
        },
        "rpn.": "rpn.",
        "roi_heads.": "roi_heads.",
    }

    default_parts = dict(test_cfg="InstanceTestCfg")

    def __init__(
        self,
        in_specs: Sequence[FeatureSpec],
        num_classes: int = 1,
        v2: bool = False,
        anchor_scales: Sequence[float] = (8,),
        anchor_ratios: Sequence[float] = (0.5, 1.0, 2.0),
        max_proposals: int | None = 2000,
        max_detections: int | None = None,
        rpn_nms: float | None = 0.7,
        box_nms: float | None = 0.5,
        rpn_samples: int = 256,
        roi_samples: int = 512,
        box_hidden: int = 1024,
        mask_hidden: int = 256,
        mask_roi_size: int = 14,
        mask_deconvs: int = 1,
        test_cfg: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        check_whole(1, num_classes=num_classes, max_proposals=max_proposals, max_detections=max_detections)
        check_whole(1, rpn_samples=rpn_samples, roi_samples=roi_samples, box_hidden=box_hidden)
        check_whole(1, mask_hidden=mask_hidden, mask_roi_size=mask_roi_size, mask_deconvs=mask_deconvs)
        rpn_nms, box_nms = (1.0 if thr is None else thr for thr in (rpn_nms, box_nms))
        check_share(rpn_nms=rpn_nms, box_nms=box_nms)
        channels, strides = _pyramid(in_specs)
        self.num_classes, self.max_detections = num_classes, max_detections
        self.stride, self.mask_size = strides[0], mask_roi_size * 2**mask_deconvs
        self.test_cfg = TASK_UTILS.build(dict(type="InstanceTestCfg") | dict(test_cfg or {}))
        self.score_thrs = {"test_cfg.score_thr": self.test_cfg.score_thr}
        # on first use: predicting with other models does without torchvision
        from torchvision.models.detection import faster_rcnn, mask_rcnn, roi_heads

        from cellmm.models.heads.region_proposals import ALL, RegionProposals

        self.rpn = RegionProposals(
            channels,
            strides,
            depth=2 if v2 else 1,
            scales=anchor_scales,
            ratios=anchor_ratios,
            limit=max_proposals,
            nms_thr=rpn_nms,
            samples=rpn_samples,
        )
        norm = nn.BatchNorm2d if v2 else None
        if v2:
            sides = (channels, BOX_SIDE, BOX_SIDE)
            box_head = faster_rcnn.FastRCNNConvFCHead(sides, [channels] * 4, [box_hidden], norm)
        else:
            box_head = faster_rcnn.TwoMLPHead(channels * BOX_SIDE**2, box_hidden)
        self.roi_heads = roi_heads.RoIHeads(
            _pool(strides, BOX_SIDE),
            box_head,
            faster_rcnn.FastRCNNPredictor(box_hidden, num_classes + 1),
            fg_iou_thresh=0.5,
            bg_iou_thresh=0.5,
            batch_size_per_image=roi_samples,
            positive_fraction=0.25,
            bbox_reg_weights=None,
            score_thresh=self.test_cfg.score_thr,
            nms_thresh=box_nms,
            detections_per_img=ALL,
            mask_roi_pool=_pool(strides, mask_roi_size),
            mask_head=mask_rcnn.MaskRCNNHeads(channels, [channels] * 4, 1, norm_layer=norm),
            mask_predictor=mask_predictor(channels, mask_hidden, num_classes + 1, mask_deconvs),
        )

    def forward(self, features: list[Tensor]) -> dict[str, list[Tensor]]:
        """``objectness`` (B, A, h, w) and ``deltas`` (B, 4A, h, w) of the anchors on each level, float32."""
        objectness, deltas = self.rpn.head(list(self.rpn.levels(features).values()))
        return dict(objectness=objectness, deltas=deltas)

    def loss(self, features: list[Tensor], samples: list[CellSample]) -> dict[str, Tensor]:
        from torchvision.models.detection.roi_heads import fastrcnn_loss

        from cellmm.models.heads.region_proposals import mostly_in

        features = [level.float() for level in features]
        for sample in samples:
            check_labels(sample.gt_instances.labels, self.num_classes, sample)
        targets = [self._target(sample, features[0].device) for sample in samples]
        proposals, losses, _ = self.rpn.propose(features, [sample.img_shape for sample in samples], targets)
        proposals = [
            boxes[~mostly_in(target["ignore"], boxes)] if "ignore" in target else boxes
            for boxes, target in zip(proposals, targets, strict=True)
        ]
        boxes, matched, labels, deltas = self.roi_heads.select_training_samples(proposals, targets)
        if sum(map(len, boxes)):
            logits, found = self._classify(features, boxes)
            classifier, box_reg = fastrcnn_loss(logits, found, labels, deltas)
        else:  # nothing but ignored pixels
            classifier = box_reg = _nothing(self.roi_heads.box_head, self.roi_heads.box_predictor)
        cells = [own > 0 for own in labels]
        mask = self._mask_loss(
            features,
            [own[at] for own, at in zip(boxes, cells, strict=True)],
            [own[at] for own, at in zip(matched, cells, strict=True)],
            torch.cat([own[at] for own, at in zip(labels, cells, strict=True)]),
            targets,
        )
        return losses | dict(loss_classifier=classifier, loss_box_reg=box_reg, loss_mask=mask)

    @torch.no_grad()
    def predict(self, features: list[Tensor], samples: list[CellSample]) -> list[PredictedInstances]:
        features = [level.float() for level in features]
        grid = tuple(side * self.stride for side in features[0].shape[-2:])
        shapes = [tuple(map(min, sample.img_shape, grid)) for sample in samples]  # a tile is smaller
        proposals, _, cut = self.rpn.propose(features, shapes)
        logits, deltas = self._classify(features, proposals)
        self.roi_heads.score_thresh = self.test_cfg.score_thr
        found = self.roi_heads.postprocess_detections(logits, deltas, proposals, shapes)
        return [
            self._instances([level[i : i + 1] for level in features], *own, grid, cut[i])
            for i, own in enumerate(zip(*found, strict=True))
        ]

    def _instances(
        self,
        features: list[Tensor],
        boxes: Tensor,
        scores: Tensor,
        labels: Tensor,
        grid: tuple[int, int],
        proposals_cut: int,
    ) -> PredictedInstances:
        """Of one image: the masks in its boxes, which come best first."""
        keep = slice(self.max_detections)
        limits = {PROPOSALS_CUT: proposals_cut, DETECTIONS_CUT: len(boxes) - len(boxes[keep])}
        boxes, scores, labels = boxes[keep], scores[keep], labels[keep]
        parts = zip(boxes.split(CHUNK), labels.split(CHUNK), strict=True)
        probs = [self._masks(features, [part], own).sigmoid().cpu() for part, own in parts]
        probs = torch.cat(probs) if probs else boxes.new_zeros(0, self.mask_size, self.mask_size).cpu()
        windows, origins = paste_masks(probs.numpy(), boxes.double().cpu().numpy(), grid)
        windows = [torch.from_numpy(window) for window in windows]
        inside = [window > self.test_cfg.mask_thr for window in windows]
        filled = torch.tensor([bool(mask.any()) for mask in inside], dtype=torch.bool)
        scores, labels, origins = scores.cpu(), labels.cpu() - 1, torch.from_numpy(origins)
        order = self.test_cfg.passing(scores, filled)
        stay, scores = self.test_cfg.suppress(
            [inside[i] for i in order.tolist()], scores[order], labels[order], origins[order]
        )
        order = order[stay]
        return PredictedInstances(
            probs=[windows[i] for i in order.tolist()],
            scores=scores,
            labels=labels[order],
            origins=origins[order],
            grid_shape=grid,
            mask_thr=self.test_cfg.mask_thr,
            limits={text: number for text, number in limits.items() if number},
        )

    def _classify(self, features: list[Tensor], boxes: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Logits (P, K + 1) and deltas (P, 4 (K + 1)) of the boxes of all images, float32."""
        cut = self.roi_heads.box_roi_pool(_by_name(features), boxes, [])
        logits, deltas = self.roi_heads.box_predictor(self.roi_heads.box_head(cut))
        return logits.float(), deltas.float()

    def _masks(self, features: list[Tensor], boxes: list[Tensor], labels: Tensor) -> Tensor:
        """Mask logits, float32 (P, M, M), of the class of each box, ``labels`` from 1."""
        cut = self.roi_heads.mask_roi_pool(_by_name(features), boxes, [])
        logits = self.roi_heads.mask_predictor(self.roi_heads.mask_head(cut)).float()
        return logits[torch.arange(len(logits), device=logits.device), labels]

    def _mask_loss(
        self,
        features: list[Tensor],
        boxes: list[Tensor],
        matched: list[Tensor],
        labels: Tensor,
        targets: list[dict[str, Tensor]],
    ) -> Tensor:
        if not len(labels):
            return _nothing(self.roi_heads.mask_head, self.roi_heads.mask_predictor)
        truth = [
            masks_on_grids(target["layers"], target["ids"][own], places, self.mask_size)
            for target, own, places in zip(targets, matched, boxes, strict=True)
            if len(own)
        ]
        logits = self._masks(features, boxes, labels)
        return F.binary_cross_entropy_with_logits(logits, torch.cat(truth))

    def _target(self, sample: CellSample, device: torch.device) -> dict[str, Tensor]:
        """``boxes`` (M, 4), ``labels`` (M,) from 1 and ``ids`` (M,) in ``layers``, of cells with pixels."""
        cells = LabelLayers(sample.gt_layers.cpu().numpy(), num=len(sample.gt_instances.labels))
        boxes = torch.from_numpy(cells.bboxes()).float().to(device)
        filled = boxes[:, 2] > boxes[:, 0]
        target = dict(
            boxes=boxes[filled],
            labels=sample.gt_instances.labels.to(device)[filled] + 1,
            ids=filled.nonzero().flatten() + 1,
            layers=sample.gt_layers.to(device),
            masks=boxes,  # torchvision asks for the key alone
        )
        if "ignore" in sample and bool(sample.ignore.any()):
            target["ignore"] = sample.ignore.to(device)
        return target


def mask_predictor(channels: int, hidden: int, outputs: int, deconvs: int) -> nn.Sequential:
    """torchvision's MaskRCNNPredictor with any number of 2x2 transposed convolutions before the 1x1.

    ``outputs``: the classes and, as in torchvision, the background.
    """
    layers: list[tuple[str, nn.Module]] = []
    for i in range(deconvs):
        layers += [
            (f"conv{5 + i}_mask", nn.ConvTranspose2d(hidden if i else channels, hidden, 2, 2)),
            (f"relu{5 + i}", nn.ReLU(inplace=True)),
        ]
    layers.append(("mask_fcn_logits", nn.Conv2d(hidden, outputs, 1)))
    predictor = nn.Sequential(OrderedDict(layers))
    for name, weights in predictor.named_parameters():
        if name.endswith("weight"):
            nn.init.kaiming_normal_(weights, mode="fan_out", nonlinearity="relu")
    return predictor


def _pyramid(specs: Sequence[FeatureSpec]) -> tuple[int, list[int]]:
    """The channels of all maps, and their strides."""
    strides = [spec.stride for spec in specs]
    doubled = all(2 * a == b for a, b in zip(strides[:-1], strides[1:], strict=True))
    if len({spec.channels for spec in specs}) > 1 or not doubled or any(spec.origin for spec in specs):
        raise CellMMError(
            "MaskRCNNHead: needs maps of equal channels whose strides double, from the first pixel on; "
            "let it read dict(type='FPNDecoder')"
        )
    return specs[0].channels, strides


def _pool(strides: Sequence[int], size: int) -> nn.Module:
    """RoIAlign on the level that suits each box, whose scales are known and not guessed from an image."""
    from torchvision.ops import MultiScaleRoIAlign
    from torchvision.ops.poolers import initLevelMapper

    pool = MultiScaleRoIAlign([str(i) for i in range(len(strides))], size, sampling_ratio=2)
    pool.scales = [1 / stride for stride in strides]
    first = strides[0].bit_length() - 1
    pool.map_levels = initLevelMapper(first, first + len(strides) - 1)
    return pool


def _by_name(features: list[Tensor]) -> dict[str, Tensor]:
    return {str(i): level for i, level in enumerate(features)}


def _nothing(*parts: nn.Module) -> Tensor:
    """A loss of 0 that all parameters take part in, for DistributedDataParallel."""
    return sum(weights.float().sum() for part in parts for weights in part.parameters()) * 0
