from cellmm.models.heads.gateway_head import GatewayHead
from cellmm.models.heads.iam_head import IAMHead

__all__ = ["GatewayHead", "IAMHead"]
