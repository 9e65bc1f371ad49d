"""How a broken rule is told: one line that names the component and the rule."""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from mmengine.registry import Registry

from cellmm.errors import CellMMError
from cellmm.structures import LabelLayers


def require(kept: bool, name: str, rule: str) -> None:
    """Raise CellMMError where the component ``name`` breaks ``rule``, which is written as what must hold."""
    if not kept:
        raise CellMMError(f"{name}: {rule}")


@contextlib.contextmanager
def must_work(name: str, doing: str) -> Iterator[None]:
    """What fails within the block is told as "NAME: DOING failed: ..."; CellMMErrors pass."""
    try:
        yield
    except CellMMError:
        raise
    except Exception as error:
        text = " ".join(str(error).split())
        raise CellMMError(f"{name}: {doing} failed with {type(error).__name__}: {text}") from error


def build(registry: Registry, config: dict, **given: Any) -> tuple[str, Any]:
    """The name of a component and the component, built from ``config`` as from a config file."""
    name = config["type"] if isinstance(config["type"], str) else config["type"].__name__
    with must_work(name, "building it"):
        return name, registry.build(dict(given) | config)


def same(one: Any, other: Any) -> bool:
    """Whether two values of a sample are equal, arrays and layers element by element."""
    if type(one) is not type(other):
        return False
    if isinstance(one, LabelLayers):
        return len(one) == len(other) and same(one.layers, other.layers)
    if isinstance(one, torch.Tensor):
        return same(one.detach().cpu().numpy(), other.detach().cpu().numpy())
    if isinstance(one, np.ndarray):
        number = one.dtype.kind in "fc"
        return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=number)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other) or one is other or (one != one and other != other)
