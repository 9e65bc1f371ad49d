"""What a component takes, asked of its signature and of its bases."""

import pytest

from cellmm.arguments import arguments_of
from cellmm.datasets import BBBC010Dataset, LIVECellDataset


class Base:
    def __init__(self, size, *, name="a", kind="b"):
        pass


class Passes(Base):
    def __init__(self, more, **kwargs):
        kwargs.setdefault("size", 3)
        super().__init__(kind="c", **kwargs)


class Positional(Passes):
    def __init__(self, **kwargs):
        super().__init__(5, **kwargs)


class Named(Base):
    def __init__(self, **kwargs):
        Base.__init__(self, 5, **kwargs)


class Reads(Base):
    """Takes keys out of what it passes on, and sets others."""

    def __init__(self, **kwargs):
        self.width = kwargs.pop("width", 1)
        kwargs["name"] = "n"
        kwargs.update(size=4)
        super().__init__(**kwargs)


class Nested(Base):
    def __init__(self, **kwargs):
        super().__init__(size=dict(kind=1), **kwargs)


class Keeps(Base):
    def __init__(self, more, **kwargs):
        super().__init__(3)
        self.kwargs = kwargs


class Plain:
    pass


@pytest.mark.parametrize(
    ("component", "names", "required", "is_open"),
    [
        (Base, {"size", "name", "kind"}, ["size"], False),
        (Passes, {"more", "name", "size"}, ["more"], False),
        (Positional, {"name", "size"}, [], False),
        (Named, {"name", "kind"}, [], False),
        (Reads, {"width", "size", "name", "kind"}, [], False),
        (Nested, {"name", "kind"}, [], False),
        (Keeps, {"more"}, ["more"], True),
        (Plain, set(), [], False),
        (dict, set(), [], True),
        (lambda a, b=1, **rest: None, {"a", "b"}, ["a"], True),
    ],
)
def test_arguments_by_hand(component, names, required, is_open):
    found = arguments_of(component)
    assert (set(found.by_name), found.required, found.is_open) == (names, required, is_open)


def test_arguments_of_datasets():
    assert "mask_pattern" not in arguments_of(BBBC010Dataset).by_name  # which it sets itself
    assert {"data_root", "split", "channel", "mask_dir", "pipeline", "seed"} <= set(
        arguments_of(BBBC010Dataset).by_name
    )
    assert arguments_of(LIVECellDataset).required == ["data_root"]
