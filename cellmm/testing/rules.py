"""How a broken rule is told: one line that names the component and the rule."""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from mmengine.registry import Registry

from cellmm.errors import CellMMError
from cellmm.structures import LabelLayers


class BrokenRule(CellMMError):
    """A component breaks a rule; a plain CellMMError is what it says itself of what it refuses."""


def require(kept: bool, name: str, rule: str) -> None:
    """Raise BrokenRule where the component ``name`` breaks ``rule``, which is written as what must hold."""
    if not kept:
        raise BrokenRule(f"{name}: {rule}")


@contextlib.contextmanager
def must_work(name: str, doing: str) -> Iterator[None]:
    """What fails within the block is told as "NAME: DOING failed: ..."; CellMMErrors pass."""
    try:
        yield
    except CellMMError:
        raise
    except Exception as error:
        text = " ".join(str(error).split())
        raise BrokenRule(f"{name}: {doing} failed with {type(error).__name__}: {text}") from error


def name_of(config: dict) -> str:
    """The name of a component's class."""
    return config["type"] if isinstance(config["type"], str) else config["type"].__name__


def build(registry: Registry, config: dict, **given: Any) -> tuple[str, Any]:
    """The name of a component and the component, built from ``config`` as from a config file."""
    name = name_of(config)
    with must_work(name, "building it"):
        return name, registry.build(dict(given) | config)


def same(value: Any, other: Any) -> bool:
    """Whether two values of a sample are equal, arrays and layers element by element."""
    if type(value) is not type(other):
        return False
    if isinstance(value, LabelLayers):
        return len(value) == len(other) and same(value.layers, other.layers)
    if isinstance(value, torch.Tensor):
        return same(value.detach().cpu().numpy(), other.detach().cpu().numpy())
    if isinstance(value, np.ndarray):
        number = value.dtype.kind in "fc"
        return value.dtype == other.dtype and np.array_equal(value, other, equal_nan=number)
    if isinstance(value, dict):
        return value.keys() == other.keys() and all(same(value[key], other[key]) for key in value)
    if isinstance(value, list | tuple):
        return len(value) == len(other) and all(map(same, value, other))
    return bool(value == other) or value is other or (value != value and other != other)
