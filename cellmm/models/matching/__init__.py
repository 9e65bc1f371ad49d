from cellmm.models.matching.cost_matcher import CostMatcher
from cellmm.models.matching.hungarian_matcher import HungarianMatcher

__all__ = ["CostMatcher", "HungarianMatcher"]
