from cellmm.models.heads.gateway_criterion import GatewayCriterion
from cellmm.models.heads.gateway_finders import ComponentFinder, PeakFinder
from cellmm.models.heads.gateway_head import GatewayHead
from cellmm.models.heads.gateway_samplers import SingleGatewaySampler, UnionGatewaySampler
from cellmm.models.heads.gateway_scoring import GatewayScoring
from cellmm.models.heads.gateway_windows import GrowingWindows
from cellmm.models.heads.iam_head import IAMHead
from cellmm.models.heads.semantic_head import SemanticHead

__all__ = [
    "ComponentFinder",
    "GatewayCriterion",
    "GatewayHead",
    "GatewayScoring",
    "GrowingWindows",
    "IAMHead",
    "PeakFinder",
    "SemanticHead",
    "SingleGatewaySampler",
    "UnionGatewaySampler",
]
