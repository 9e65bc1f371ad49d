"""No group in two splits, whatever their sizes; what is done with few images is said."""

import numpy as np
import pytest

from cellmm.own_data.split import SPLITS, split_images


def counts(split) -> tuple[int, ...]:
    return tuple(len(getattr(split, name)) for name in SPLITS)


@pytest.mark.parametrize("seed", range(8))
def test_groups_stay_together_and_nothing_is_lost(seed):
    sizes = np.random.default_rng(seed).integers(1, 30, 4 + 3 * seed)
    groups = {f"{group}_{i}": str(group) for group, size in enumerate(sizes) for i in range(size)}
    split = split_images(groups, seed)
    lists = [getattr(split, name) for name in SPLITS]
    assert sorted(name for names in lists for name in names) == sorted(groups)
    of = [{groups[name] for name in names} for names in lists]
    assert not (of[0] & of[1] or of[0] & of[2] or of[1] & of[2]) and all(of)
    assert len(lists[0]) == max(map(len, lists))
    assert any("groups" in note for note in split.notes)


def test_the_same_seed_is_the_same_split_whatever_the_order():
    groups = {f"a{i}": f"a{i}" for i in range(40)}
    backwards = dict(reversed(groups.items()))
    assert split_images(groups) == split_images(backwards) != split_images(groups, 1)
    assert counts(split_images(groups)) == (28, 6, 6)


@pytest.mark.parametrize(
    ("images", "expected", "says"),
    [
        (1, (1, 0, 0), "a single image"),
        (2, (1, 0, 1), "none validates"),
        (3, (1, 1, 1), "the scores are rough"),
        (5, (3, 1, 1), "the scores are rough"),
        (9, (7, 1, 1), "the scores are rough"),
        (24, (16, 4, 4), None),
    ],
)
def test_few_images(images, expected, says):
    split = split_images({f"a{i}": f"a{i}" for i in range(images)})
    assert counts(split) == expected
    assert any(says in note for note in split.notes) if says else not split.notes


@pytest.mark.parametrize(("frames", "expected"), [(2, (1, 0, 1)), (3, (1, 1, 1)), (20, (14, 3, 3))])
def test_a_film_is_split_in_its_order(frames, expected):
    names = [f"film_t{i:04d}" for i in range(frames)]
    split = split_images(dict.fromkeys(names, "film"))
    assert counts(split) == expected
    assert [*split.train, *split.val, *split.test] == names
    assert "better than on new images" in split.notes[0]


def test_folders_that_name_the_splits_are_kept():
    groups = {f"images/{folder}/{i}": f"{i}" for folder in ("Train", "valid", "test") for i in range(3)}
    split = split_images(groups)
    assert split.val == ("images/valid/0", "images/valid/1", "images/valid/2") and len(split.test) == 3
    split = split_images({name: group for name, group in groups.items() if "test" not in name})
    assert counts(split) == (3, 0, 3) and "there is no test folder: the validation images" in split.notes[1]
    split = split_images({name: group for name, group in groups.items() if "valid" not in name})
    assert counts(split) == (3, 0, 3) and "there is no folder for validation: nothing is" in split.notes[1]
    split = split_images({name: group for name, group in groups.items() if "Train" not in name})
    assert "kept" not in split.describe()[1]
