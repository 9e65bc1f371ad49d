"""Checks of arguments that many constructors share."""

import functools
import math
from collections.abc import Sequence

import numpy as np


def check_whole(least: int, **values: int | Sequence[int] | None) -> None:
    """Raise ValueError where a value, or one of a list, is not a whole number from ``least``; None passes."""
    for name, value in values.items():
        numbers = value if isinstance(value, list | tuple) else [value]
        if not numbers or any(map(functools.partial(_is_below, least), numbers)):
            raise ValueError(f"{name} must be {least} or more, a whole number, got {value}")


def check_share(**values: float | None) -> None:
    """Raise ValueError where a number is not from 0 to 1; None passes."""
    for name, value in values.items():
        if value is not None and not 0 <= value <= 1:
            raise ValueError(f"{name} must be from 0 to 1, got {value}")


def check_ranges(least: float = -math.inf, **values: Sequence[float]) -> None:
    """Raise ValueError where a value is not (lowest, highest), two numbers from ``least`` on."""
    for name, pair in values.items():
        if np.shape(pair) != (2,) or not least <= pair[0] <= pair[1]:
            from_least = "" if least == -math.inf else f", at least {least}"
            raise ValueError(f"{name} must be (lowest, highest){from_least}, got {pair!r}")


def _is_below(least: int, number: int | None) -> bool:
    return number is not None and (isinstance(number, float) or number < least)
