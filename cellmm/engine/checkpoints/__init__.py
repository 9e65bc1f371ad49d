"""Checkpoint files: read as data, of a checked form, fitted to a model, written whole.

``read``: every checkpoint comes through here, with ``weights_only=True``. ``form``: what its parts must be.
``fit``: whether it fits a model and an optimizer. ``start``: what a new training takes from it. ``write``:
complete or not at all.
"""

from cellmm.engine.checkpoints.fit import (
    check_finite,
    check_training_state,
    load_fitting,
)
from cellmm.engine.checkpoints.read import RefusedCheckpointError, load_checkpoint, load_weights, sha256
from cellmm.engine.checkpoints.start import StartWeights, fit_start_weights, load_start_weights
from cellmm.engine.checkpoints.write import save_weights

__all__ = [
    "RefusedCheckpointError",
    "StartWeights",
    "check_finite",
    "check_training_state",
    "fit_start_weights",
    "load_checkpoint",
    "load_fitting",
    "load_start_weights",
    "load_weights",
    "save_weights",
    "sha256",
]
