"""Instances from queries that look through their own masks: the head of QuerySEUNet."""

from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from torch import Tensor

from cellmm.checks import check_whole
from cellmm.models.derive import build_part
from cellmm.models.feature_spec import FeatureSpec, check_first_pixel
from cellmm.models.heads.base import HeadExport
from cellmm.models.heads.class_check import check_cells
from cellmm.models.heads.query.query_decoder import QueryDecoder
from cellmm.models.heads.query.query_pixels import QueryPixels
from cellmm.models.heads.query.query_predictor import QueryPredictor
from cellmm.models.heads.query.query_starts import LearnedQueries, PeakQueries
from cellmm.models.layers import mask_logits
from cellmm.models.layers.mask_kernels import resize_to
from cellmm.models.limits import LimitLog
from cellmm.registry import MODELS, TASK_UTILS
from cellmm.structures import CellSample, PredictedInstances

STARTS = ("learned", "peaks")


@MODELS.register_module()
class QueryHead(BaseModule):
    """N queries -> N classes, masks and qualities, refined by masked attention to the decoder's maps.

    Each layer looks at one map, at the pixels of the query's present mask alone; then queries look at each
    other. The mask of a query is its kernel on mask features at ``mask_stride``. Masks may overlap.
    Source: Mask2Former; its constants are the defaults. Queries on a U-Net: IAUNet. Quality, peaks and the
    parts of overlapping cells are ours.

    ``forward``: list of (B, C, h, w), finest first -> dict(``stages``: before the first layer and after each,
    see QueryPredictor; ``basis`` (B, E, H, W) that the kernels act on; ``coarse_basis``, the same at half the
    size; with peaks, ``disk_logits`` (B, K + 1, H, W)). ``mask_logits(kernels, basis)`` gives the masks.

    Args:
        in_specs: of the decoder's maps, finest first. The model gives it.
        num_queries: N, more than the most cells in an image, say 1.5 times as many; a warning names images in
            which all are in use.
        num_classes: K.
        dim: D of queries and of the maps that they look at; a multiple of 8 and of ``num_heads``.
        num_heads, feedforward: of each layer.
        mask_dim: E, channels of the mask features; None: ``dim``.
        strides: of the maps that queries look at, coarsest first.
        mask_stride: of the masks. The map of twice this stride is needed too.
        layers_per_level, order: see QueryDecoder.
        init: ``'learned'``: queries begin as weights; ``'peaks'``: at the best peaks of a map of gateways,
            for which samples need what ReferencePoints and DiskTargets write, at ``mask_stride``.
        peak_radius, loss_disk: of ``init='peaks'``, see PeakQueries.
        denoising: config of DenoisingQueries; None: without denoising.
        overlap_parts: learn what a cell has alone, and what it shares, as masks of their own, see
            QuerySetCriterion.
        criterion: config of QuerySetCriterion: matcher and losses.
        test_cfg: ``mask_thr``, ``score_thr`` and ``nms``, see InstanceTestCfg.
    """

    # see heads.base.OwnsParts
    default_parts = dict(criterion="QuerySetCriterion", test_cfg="InstanceTestCfg")
    part_arguments = dict(denoising=("dim", "num_classes"), criterion=("overlap_parts",))

    def __init__(
        self,
        in_specs: Sequence[FeatureSpec],
        num_queries: int = 100,
        num_classes: int = 1,
        dim: int = 256,
        num_heads: int = 8,
        feedforward: int = 1024,
        mask_dim: int | None = None,
        strides: Sequence[int] = (16, 8, 4),
        mask_stride: int = 2,
        layers_per_level: int = 3,
        order: str = "coarse_to_fine",
        init: str = "learned",
        peak_radius: int = 3,
        loss_disk: dict | None = None,
        denoising: dict | None = None,
        overlap_parts: bool = False,
        criterion: dict | None = None,
        test_cfg: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        mask_dim = dim if mask_dim is None else mask_dim
        check_whole(1, num_queries=num_queries, num_classes=num_classes, dim=dim, num_heads=num_heads)
        check_whole(1, feedforward=feedforward, mask_dim=mask_dim, strides=strides, mask_stride=mask_stride)
        check_whole(1, layers_per_level=layers_per_level, peak_radius=peak_radius)
        if list(strides) != sorted(set(strides), reverse=True):
            raise ValueError(f"strides must be given coarsest first, each once, got {tuple(strides)}")
        if init not in STARTS:
            raise ValueError(f"init must be one of {STARTS}, got {init!r}")
        check_first_pixel(in_specs, "QueryHead")
        self.num_queries, self.num_classes, self.strides = num_queries, num_classes, tuple(strides)
        self.pixels = QueryPixels(in_specs, dim, mask_dim, strides, mask_stride)
        self.out_spec = FeatureSpec(mask_dim, mask_stride)
        if init == "learned":
            self.start = LearnedQueries(num_queries, dim)
        else:
            self.needs = {"gt_disks": "ReferencePoints and DiskTargets before PackCellInputs"}
            self.start = PeakQueries(self.out_spec, num_queries, dim, num_classes, peak_radius, loss_disk)
        predictor = QueryPredictor(dim, num_classes, mask_dim, overlap_parts)
        self.decoder = QueryDecoder(
            dim, num_heads, feedforward, len(self.strides), layers_per_level, order, predictor
        )
        self.denoising = None
        if denoising is not None:
            self.denoising = build_part(
                self, MODELS, "denoising", denoising, dim=dim, num_classes=num_classes
            )
        self.criterion = build_part(self, MODELS, "criterion", criterion, overlap_parts=overlap_parts)
        self.test_cfg = build_part(self, TASK_UTILS, "test_cfg", test_cfg)
        self.score_thrs = {"test_cfg.score_thr": self.test_cfg.score_thr}
        self.num_unmatched = 0
        self._limits = LimitLog()

    def forward(self, features: list[Tensor]) -> dict:
        return self._decode(features)[0]

    def _decode(self, features: list[Tensor], samples: Sequence[CellSample] = ()) -> tuple[dict, dict]:
        """What ``forward`` gives, and what is learned besides; noisy queries only with ``samples``."""
        levels, basis = self.pixels(features)
        content, position, learned = self.start(basis)
        basis, noisy = basis.float(), None
        if self.denoising is not None and samples:
            noisy = self.denoising(samples, levels[-1], self.strides[-1])
            content = torch.cat([content, noisy.content], 1)
            position = torch.cat([position, noisy.position], 1)
        stages = self.decoder(levels, basis, content, position, noisy)
        outputs = dict(basis=basis, coarse_basis=resize_to(basis, features[self.pixels.coarse]), **learned)
        if noisy is None:
            return outputs | dict(stages=stages), {}
        own = content.shape[1] - noisy.content.shape[1]
        outputs["stages"] = [{key: value[:, :own] for key, value in stage.items()} for stage in stages]
        theirs = [{key: value[:, own:] for key, value in stage.items()} for stage in stages]
        return outputs, dict(noisy=dict(stages=theirs, pairs=noisy.pairs))

    @property
    def export(self) -> HeadExport:
        """The last stage and the basis. See HeadExport."""

        def outputs(found: dict) -> dict:
            keys = ("cls_logits", "kernels", "quality_logits")
            return dict(stages=[{key: found["stages"][-1][key] for key in keys}], basis=found["basis"])

        return HeadExport(outputs=outputs)

    def loss(self, features: list[Tensor], samples: list[CellSample]) -> dict[str, Tensor]:
        """The losses of ``criterion`` and, with peaks, ``loss_disk``."""
        self.num_unmatched += check_cells(samples, self.num_classes, self.num_queries, self._limits)
        outputs, more = self._decode(features, samples)
        matched = self.criterion(outputs | more, samples, self.out_spec.stride)
        return matched.losses | self.start.loss(outputs, samples)

    def predict(self, features: list[Tensor], samples: list[CellSample]) -> list[PredictedInstances]:
        """The instances of each image, as whole maps, best first.

        Score = sqrt(class probability x quality).
        """
        outputs = self(features)
        return [self._predict_image(outputs, b) for b in range(len(outputs["basis"]))]

    def _predict_image(self, outputs: dict, b: int) -> PredictedInstances:
        """Masks are computed only for queries that score enough."""
        stage, cfg = outputs["stages"][-1], self.test_cfg
        cls_probs, labels = stage["cls_logits"][b].softmax(-1)[:, :-1].max(-1)
        scores = (cls_probs * stage["quality_logits"][b].sigmoid()).sqrt()
        able = scores > cfg.score_thr
        scores, labels = scores[able], labels[able]
        probs = mask_logits(stage["kernels"][b : b + 1, able], outputs["basis"][b : b + 1])[0].sigmoid()
        return cfg.instances(probs, scores, labels, self.out_spec.stride, self.num_queries)
