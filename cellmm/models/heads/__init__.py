from cellmm.models.heads.iam_head import IAMHead

__all__ = ["IAMHead"]
