"""Which images train, validate and test: by groups, so that images of one acquisition stay together."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

SHARE = 0.15  # of the images that validate, and of those that test
ROLES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Split:
    """The names of the images of each split, sorted.

    Args:
        notes: what was done, and what that means for the scores.
    """

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def describe(self) -> list[str]:
        """Lines for people."""
        counts = f"{len(self.train)} images to train, {len(self.val)} to validate, {len(self.test)} to test"
        return [f"split: {counts}", *self.notes]


def split_images(groups: Mapping[str, str], seed: int = 0) -> Split:
    """Split images by their groups, about 70 : 15 : 15.

    Folders named train, val and test are kept. With two groups there is no validation. A single group is
    split into blocks in the order of the names, as the frames of a film, and a single image only trains.
    ``notes`` say so.

    Args:
        groups: {name of the image, a relative path: its group}.
        seed: of the choice of groups.

    Examples:
        >>> split_images({"a_1": "a", "a_2": "a", "b": "b", "c": "c"}).describe()[0]
        'split: 2 images to train, 1 to validate, 1 to test'
    """
    names = sorted(groups)
    if stated := _stated(names):
        notes = [f"the folders named {' and '.join(sorted(stated))} were kept"]
        if "test" not in stated:
            stated["test"] = stated.pop("val")
            notes.append(
                "there is no test folder: the validation images are used for testing, and nothing is used "
                "for validation, so no best checkpoint is chosen"
            )
        elif "val" not in stated:
            notes.append(
                "there is no folder for validation: nothing is used for validation, so no best checkpoint is "
                "chosen"
            )
        return _of_lists(stated, notes)
    members = defaultdict(list)
    for name in names:
        members[groups[name]].append(name)
    if len(names) == 1:
        note = "a single image: it trains the model, and nothing says how good that is; annotate more images"
        return _of_lists(dict(train=names), (note,))
    if len(members) == 1:
        return _in_blocks(names)
    return _by_groups(members, seed)


def _of_lists(lists: Mapping[str, Sequence[str]], notes: Sequence[str]) -> Split:
    return Split(*(tuple(sorted(lists.get(key, ()))) for key in SPLITS), notes=tuple(notes))


def _stated(names: Sequence[str]) -> dict[str, list[str]] | None:
    """The splits that the folders of all images state; None: they do not, or none is to train."""
    found = defaultdict(list)
    for name in names:
        roles = {ROLES[part] for part in re.split(r"[/\\]", name.casefold())[:-1] if part in ROLES}
        if len(roles) != 1:
            return None
        found[roles.pop()].append(name)
    return found if "train" in found and len(found) > 1 else None


def _in_blocks(names: Sequence[str]) -> Split:
    held = max(1, round(SHARE * len(names)))
    group = f"all {len(names)} images belong together, as frames of a film"
    if len(names) == 2:
        note = f"{group}: one trains, one tests, none validates; the score is better than on new images"
        return _of_lists(dict(train=names[:1], test=names[1:]), (note,))
    note = (
        f"{group}: the last of them in the order of their names validate and test; the scores are better "
        "than on new images"
    )
    train, val, test = names[: -2 * held], names[-2 * held : -held], names[-held:]
    return _of_lists(dict(train=train, val=val, test=test), (note,))


def _by_groups(members: Mapping[str, Sequence[str]], seed: int) -> Split:
    """The largest group trains; the others are drawn, for the test first, until it has its share."""
    keys = sorted(members)
    total = sum(map(len, members.values()))
    largest = max(keys, key=lambda key: len(members[key]))
    drawn = [keys[i] for i in np.random.default_rng(seed).permutation(len(keys)) if keys[i] != largest]
    lists = defaultdict(list, train=list(members[largest]))
    for key in ("test", "val") if len(drawn) > 1 else ("test",):
        lists[key] += members[drawn.pop(0)]
        while len(drawn) > 1 and len(lists[key]) + len(members[drawn[0]]) / 2 <= SHARE * total:
            lists[key] += members[drawn.pop(0)]
    for group in drawn:
        lists["train"] += members[group]
    notes = []
    if len(keys) < total:
        notes.append(f"split by {len(keys)} groups: images of one group are in the same split")
    if "val" not in lists:
        notes.append(f"{len(keys)} groups: one trains, one tests, none validates; annotate more images")
    elif min(len(lists["val"]), len(lists["test"])) < 3:
        notes.append("few images validate or test, so the scores are rough; annotate more images")
    return _of_lists(lists, notes)
