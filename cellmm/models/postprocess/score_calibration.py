"""Scores that say how probable it is that an instance is right."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from cellmm.errors import CellMMError
from cellmm.structures import PredictedInstances


class ScoreCalibration:
    """A map of scores that keeps their order: straight lines between ``knots``.

    The order of instances stays, and no two scores become equal, so that AP stays too. For this the scores
    that come out are float64: where the map is flat, neighbouring float32 would fall together.

    Args:
        knots: (score, probability) pairs from (0, 0) to (1, 1), both growing from each to the next.

    >>> found = PredictedInstances(np.ones((2, 1, 1)), torch.tensor([0.5, 0.25]), torch.zeros(2))
    >>> ScoreCalibration([(0, 0), (0.5, 0.9), (1, 1)])(found).scores.tolist()
    [0.9, 0.45]
    """

    def __init__(self, knots: Sequence[Sequence[float]]) -> None:
        try:
            table = np.array(knots, dtype=np.float64)
        except (TypeError, ValueError):
            table = np.zeros(0)
        pairs = table.ndim == 2 and table.shape[1:] == (2,) and len(table) > 1
        whole = pairs and table[[0, -1]].tolist() == [[0, 0], [1, 1]]
        if not (whole and (np.diff(table, axis=0) > 0).all()):
            raise CellMMError(
                f"model.calibration: {knots}; give pairs (score, probability) from (0, 0) to (1, 1), in "
                "which both grow, as tools/analysis/reliability.py prints them, or None"
            )
        self.scores, self.probs = table.T

    def map(self, scores: np.ndarray) -> np.ndarray:
        """Probabilities of float scores in [0, 1], any shape; float64."""
        return np.interp(scores, self.scores, self.probs)

    def __call__(self, found: PredictedInstances) -> PredictedInstances:
        """The instances with other scores; ValueError where one is not in [0, 1]."""
        scores = found.scores.double().numpy()
        if not ((scores >= 0) & (scores <= 1)).all():
            raise ValueError(
                f"scores from {scores.min():g} to {scores.max():g}: only those in [0, 1] can be calibrated"
            )
        return replace(found, scores=torch.from_numpy(self.map(scores)))
