"""Models that come with cellmm, and what a user may give as a model."""

from cellmm.zoo.resolve import check_weights, resolve_model, weights_of
from cellmm.zoo.shipped import ShippedModel, shipped_models

__all__ = ["ShippedModel", "check_weights", "resolve_model", "shipped_models", "weights_of"]
