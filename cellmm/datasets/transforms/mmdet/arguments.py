"""What MMDetection's transforms have in common here: arguments that are refused, randomness, sizes."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from cellmm.errors import CellMMError

NO_BOXES = "leave it out; boxes are always those of the masks"


def refuse(step: str, name: str, value: Any, allowed: Sequence, cure: str) -> None:
    """Raise ValueError with ``cure`` where the argument ``name`` has another value than those ``allowed``."""
    if value not in allowed:
        raise ValueError(f"{step}: {name} is {value!r}; {cure}")


def training_rng(results: dict, step: str) -> np.random.Generator:
    """The generator of this draw; CellMMError in test and prediction, which nothing random belongs to."""
    if "eval_instances" in results or "rng" not in results:
        raise CellMMError(f"{step} changes images at random: leave it out of the test pipeline")
    return results["rng"]


def pair(step: str, name: str, value: Any, kind: type | tuple[type, ...] = int) -> tuple:
    """``value`` as a pair of positive numbers; a single number is taken twice. ValueError for others."""
    numbers = tuple(value) if isinstance(value, list | tuple) else (value, value)
    good = [isinstance(n, kind) and not isinstance(n, bool) and 0 < n < float("inf") for n in numbers]
    if len(numbers) != 2 or not all(good):
        raise ValueError(f"{step}: {name} is {value!r}; give a number above 0 or a pair of them")
    return numbers
