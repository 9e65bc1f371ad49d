"""Checkpoint files: read as data, of a checked form, fitted to a model, written whole.

``read``: every checkpoint comes through here, with ``weights_only=True``. ``form``: what its parts must be.
``fit``: whether it fits a model and an optimizer. ``write``: complete or not at all.
"""

from cellmm.engine.checkpoints.fit import (
    check_finite,
    check_start_weights,
    check_training_state,
    load_fitting,
)
from cellmm.engine.checkpoints.read import RefusedCheckpointError, load_checkpoint, load_weights, sha256
from cellmm.engine.checkpoints.write import save_weights

__all__ = [
    "RefusedCheckpointError",
    "check_finite",
    "check_start_weights",
    "check_training_state",
    "load_checkpoint",
    "load_fitting",
    "load_weights",
    "save_weights",
    "sha256",
]
