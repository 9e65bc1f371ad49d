"""Seeds of the global generators: set for a block, put back after it."""

import random

import numpy as np
import torch

from cellmm.randomness import preserve_rng, seed_all, seeded


def draw():
    return random.random(), np.random.rand(), torch.rand(1).item()


def test_the_same_numbers_give_the_same_draws():
    seed_all(3, 0, 7)
    first = draw()
    assert len(set(first)) == 3
    seed_all(3, 0, 7)
    assert draw() == first
    with seeded(3, 0, 7):
        assert draw() == first
    for other in ((3, 7, 0), (3, 0, 8), (4, 0, 7)):
        seed_all(*other)
        assert not set(draw()) & set(first)


def test_afterwards_the_generators_are_as_before():
    seed_all(1)
    expected = draw()
    seed_all(1)
    with preserve_rng():
        draw()
    with seeded(5):
        draw()
    assert draw() == expected
