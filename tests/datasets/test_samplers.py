from itertools import islice

import numpy as np
import pytest

from cellmm.datasets import DrawSampler
from cellmm.registry import DATA_SAMPLERS


def take(sampler: DrawSampler, count: int) -> list[tuple[int, int]]:
    return list(islice(sampler, count))


def test_every_image_once_an_epoch_and_another_order_in_the_next():
    drawn = take(DrawSampler(range(7), seed=1), 21)
    assert [draw for _, draw in drawn] == list(range(21))
    epochs = [[index for index, _ in drawn[i : i + 7]] for i in (0, 7, 14)]
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_order_is_the_permutation_of_seed_and_epoch():
    drawn = take(DrawSampler(range(5), seed=3), 10)
    expected = [*np.random.default_rng((3, 0)).permutation(5), *np.random.default_rng((3, 1)).permutation(5)]
    assert [index for index, _ in drawn] == expected


def test_without_shuffle_in_order():
    assert take(DrawSampler(range(3), seed=0, shuffle=False), 5) == [(0, 0), (1, 1), (2, 2), (0, 3), (1, 4)]


def test_seek_equals_what_an_unbroken_run_draws():
    sampler = DrawSampler(range(7), seed=5)
    whole = take(sampler, 40)
    for start in (0, 6, 7, 23):
        sampler.seek(start)
        assert take(sampler, 17) == whole[start : start + 17]


@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_global_batches_do_not_depend_on_the_number_of_ranks(world_size):
    global_batch, whole = 8, take(DrawSampler(range(11), seed=2), 72)
    ranks = []
    for rank in range(world_size):
        sampler = DrawSampler(range(11), seed=2)
        sampler.rank, sampler.world_size = rank, world_size
        sampler.seek(24)
        ranks.append(take(sampler, 48 // world_size))
    local = global_batch // world_size
    for step in range(6):
        batch = sorted(draw for rank in ranks for draw in rank[step * local : (step + 1) * local])
        assert batch == sorted(whole[24 + step * global_batch : 24 + (step + 1) * global_batch])


def test_length_is_one_pass_of_a_rank():
    sampler = DrawSampler(range(7), seed=0)
    assert len(sampler) == 7
    sampler.world_size = 2
    assert len(sampler) == 4


def test_built_from_a_config_and_refuses_nonsense():
    sampler = DATA_SAMPLERS.build({"type": "DrawSampler", "shuffle": False, "dataset": range(2), "seed": 1})
    assert take(sampler, 2) == [(0, 0), (1, 1)]
    with pytest.raises(ValueError, match="-1"):
        sampler.seek(-1)
    with pytest.raises(ValueError, match="empty"):
        DrawSampler([], seed=0)
