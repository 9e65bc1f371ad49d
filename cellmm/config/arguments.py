"""What a component of a config takes: its keyword arguments by name, and the kinds of their values."""

import functools
import inspect
import math
import os
import re
import types
import typing
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mmengine.hooks

# mmengine's constructors that give their **kwargs to something other than their base class
CLOSED = (mmengine.hooks.CheckpointHook.__init__, mmengine.hooks.EMAHook.__init__)
# a call of a base's constructor that passes **kwargs on: what it gives before them, and their name
PASSES_ON = re.compile(r"\.__init__\(((?:[^()]|\([^()]*\))*)\*\*(\w+)")
# how messages call the kinds of values that a config holds, by the annotations that ask for them
KINDS = {
    **dict.fromkeys((str, Path, os.PathLike), "text"),
    **dict.fromkeys((int, float), "a number"),
    **dict.fromkeys((list, tuple, Sequence, Iterable), "a list"),
    **dict.fromkeys((dict, Mapping), "a dict"),
    **dict.fromkeys((None, type(None)), "None"),
    bool: "True or False",
}
# the smallest whole number that an argument of this name may be
LEAST = dict.fromkeys(("max_iters", "max_epochs", "val_interval", "accumulative_counts", "window_size"), 1)
LEAST |= dict(batch_size=1, num_workers=0, val_begin=0)


@dataclass(frozen=True)
class Arguments:
    """Keyword arguments by name; ``is_open``: the component takes others too."""

    by_name: Mapping[str, inspect.Parameter]
    is_open: bool = False

    @property
    def required(self) -> list[str]:
        return [name for name, p in self.by_name.items() if p.default is p.empty]


@functools.cache
def arguments_of(component: Callable) -> Arguments:
    """What ``component(**arguments)`` takes; a class's bases count too, as long as it passes **kwargs on.

    Arguments of a base that a class passes on are never required: the class may set them.
    """
    bases = component.__mro__[:-1] if inspect.isclass(component) else ()
    inits = [vars(base)["__init__"] for base in bases if "__init__" in vars(base)]
    by_name: dict[str, inspect.Parameter] = {}
    given = {"self"}  # by a class to its base
    for i, init in enumerate(inits or [component]):
        try:
            parameters = inspect.signature(init).parameters.values()
        except (ValueError, TypeError):  # written in C
            return Arguments(by_name, is_open=True)
        for p in parameters:
            if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and p.name not in given:
                by_name.setdefault(p.name, p.replace(default=None) if i and p.default is p.empty else p)
        if init in CLOSED or not any(p.kind is p.VAR_KEYWORD for p in parameters):
            return Arguments(by_name)
        try:
            passed = PASSES_ON.search(inspect.getsource(init)) if inits else None
        except (OSError, TypeError):
            passed = None
        if passed is None:
            return Arguments(by_name, is_open=True)
        given.update(re.findall(r"(\w+)=", passed[1]))
    return Arguments(by_name)


def wrong_kind(value: Any, parameter: inspect.Parameter) -> str | None:
    """What kind of value ``parameter`` needs where ``value`` is plainly of another.

    None where it fits, or where neither annotation nor name say. A bool passes as a number and the reverse.
    """
    name, allowed = parameter.name, _allowed_kinds(parameter.annotation)
    kind = next((KINDS[cls] for cls in type(value).__mro__ if cls in KINDS), None)
    if value is parameter.default:
        return None
    if name == "lr" and not (kind == "a number" and 0 < value < math.inf):
        return "a number above 0"
    if name in LEAST and not (type(value) is int and value >= LEAST[name]):
        return f"a whole number of at least {LEAST[name]}"
    if allowed is None or kind is None or kind in allowed:
        return None
    if kind in (alike := {"a number", "True or False"}) and allowed & alike:
        return None
    return " or ".join(sorted(allowed))


def _allowed_kinds(annotation: Any) -> set[str] | None:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        kinds = [_allowed_kinds(each) for each in typing.get_args(annotation)]
        return None if None in kinds else set().union(*kinds)
    cls = typing.get_origin(annotation) or annotation
    return {KINDS[cls]} if isinstance(cls, Hashable) and cls in KINDS else None
