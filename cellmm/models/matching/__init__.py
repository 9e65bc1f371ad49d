from cellmm.models.matching.hungarian_matcher import HungarianMatcher

__all__ = ["HungarianMatcher"]
