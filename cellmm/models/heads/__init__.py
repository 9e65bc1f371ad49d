from cellmm.models.heads.gateway_head import GatewayHead
from cellmm.models.heads.iam_head import IAMHead
from cellmm.models.heads.semantic_head import SemanticHead

__all__ = ["GatewayHead", "IAMHead", "SemanticHead"]
