"""Random numbers that depend on what is drawn, not on the history of calls."""

import contextlib
import random
from collections.abc import Iterator

import numpy as np
import torch


def seed_all(*numbers: int) -> None:
    """Seed Python, numpy and torch (CPU and GPU) from ``numbers``: whole, 0 or more, in this order."""
    _seed_cpu(*numbers)
    torch.manual_seed(torch.default_generator.initial_seed())


@contextlib.contextmanager
def seeded(*numbers: int) -> Iterator[None]:
    """Within the block the CPU's generators are seeded from ``numbers``; afterwards they are as before.

    Examples:
        >>> with seeded(0, 7):
        ...     first = random.random()
        >>> with seeded(0, 7):
        ...     first == random.random()
        True
    """
    with preserve_rng():
        _seed_cpu(*numbers)
        yield


@contextlib.contextmanager
def preserve_rng() -> Iterator[None]:
    """After the block the CPU's generators of Python, numpy and torch are as before."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


def _seed_cpu(*numbers: int) -> None:
    first, second, third = np.random.SeedSequence(numbers).generate_state(3)
    random.seed(int(first))
    np.random.seed(int(second))
    torch.default_generator.manual_seed(int(third))
