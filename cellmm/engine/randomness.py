"""Random numbers as a function of (seed, rank, iteration), so that no history of calls can change them."""

import random

import numpy as np
import torch


def seed_all(*numbers: int) -> None:
    """Seed Python, numpy and torch (CPU and GPU) from ``numbers``: whole, 0 or more, in this order."""
    one, two, three = np.random.SeedSequence(numbers).generate_state(3)
    random.seed(int(one))
    np.random.seed(int(two))
    torch.manual_seed(int(three))
