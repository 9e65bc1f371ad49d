from cellmm.models.heads.query.denoising_queries import DenoisingQueries
from cellmm.models.heads.query.query_head import QueryHead
from cellmm.models.heads.query.query_set_criterion import QuerySetCriterion

__all__ = ["DenoisingQueries", "QueryHead", "QuerySetCriterion"]
