from cellmm.models.heads.auxiliary_map_head import AuxiliaryMapHead
from cellmm.models.heads.full_resolution_head import FullResolutionHead
from cellmm.models.heads.gateway_criterion import GatewayCriterion
from cellmm.models.heads.gateway_finders import ComponentFinder, PeakFinder
from cellmm.models.heads.gateway_head import GatewayHead
from cellmm.models.heads.gateway_samplers import SingleGatewaySampler, UnionGatewaySampler
from cellmm.models.heads.gateway_scoring import GatewayScoring
from cellmm.models.heads.gateway_windows import GrowingWindows
from cellmm.models.heads.iam_head import IAMHead
from cellmm.models.heads.instance_activation import InstanceActivation, SoftmaxInstanceActivation
from cellmm.models.heads.instance_test_cfg import InstanceTestCfg
from cellmm.models.heads.mask_branch import MaskBranch
from cellmm.models.heads.mask_pixels import AllPixels, OverlapPoints, UncertainPoints
from cellmm.models.heads.mask_rcnn_head import MaskRCNNHead
from cellmm.models.heads.mask_scores import IoUObjectness, MaskQuality
from cellmm.models.heads.query import DenoisingQueries, QueryHead, QuerySetCriterion
from cellmm.models.heads.semantic_head import SemanticHead
from cellmm.models.heads.set_criterion import SetCriterion
from cellmm.models.heads.softmax_head import SoftmaxHead

__all__ = [
    "AllPixels",
    "AuxiliaryMapHead",
    "ComponentFinder",
    "DenoisingQueries",
    "FullResolutionHead",
    "GatewayCriterion",
    "GatewayHead",
    "GatewayScoring",
    "GrowingWindows",
    "IAMHead",
    "InstanceActivation",
    "InstanceTestCfg",
    "IoUObjectness",
    "MaskBranch",
    "MaskQuality",
    "MaskRCNNHead",
    "OverlapPoints",
    "PeakFinder",
    "QueryHead",
    "QuerySetCriterion",
    "SemanticHead",
    "SetCriterion",
    "SingleGatewaySampler",
    "SoftmaxHead",
    "SoftmaxInstanceActivation",
    "UncertainPoints",
    "UnionGatewaySampler",
]
