"""What a component of a config takes: its keyword arguments by name, and the kinds of their values."""

import ast
import functools
import inspect
import os
import textwrap
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mmengine.hooks


@dataclass(frozen=True)
class Arguments:
    """Keyword arguments of a component by name; ``is_open``: it takes others too."""

    by_name: Mapping[str, inspect.Parameter]
    is_open: bool = False

    @property
    def required(self) -> list[str]:
        return [name for name, p in self.by_name.items() if p.default is p.empty]


# classes that hand their **kwargs to something other than their base class, and take no others by it
_CLOSED = (mmengine.hooks.CheckpointHook, mmengine.hooks.EMAHook)


@functools.cache
def arguments_of(component: Callable) -> Arguments:
    """What ``component(**arguments)`` takes; of a class with its bases', as long as **kwargs is passed on."""
    try:
        if inspect.isclass(component) and component.__init__ is not object.__init__:
            return _arguments_of_class(component)
        parameters = inspect.signature(component).parameters.values()
    except (ValueError, TypeError):  # written in C
        return Arguments({}, is_open=True)
    return Arguments(
        {p.name: p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)},
        is_open=any(p.kind is p.VAR_KEYWORD for p in parameters),
    )


def _arguments_of_class(cls: type) -> Arguments:
    by_name: dict[str, inspect.Parameter] = {}
    given: set[str] = set()  # by a class to its base: no argument any more
    num_given, defaults = 0, set()
    for base in cls.__mro__:
        init = vars(base).get("__init__")
        if init is None or base is object:
            continue
        parameters = list(inspect.signature(init).parameters.values())[1:]
        for i, p in enumerate(parameters):
            if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY):
                positional = p.kind is p.POSITIONAL_OR_KEYWORD and i < num_given
                if not positional and p.name not in given:
                    by_name.setdefault(p.name, p.replace(default=None) if p.name in defaults else p)
        rest = next((p.name for p in parameters if p.kind is p.VAR_KEYWORD), None)
        if rest is None or base in _CLOSED:
            return Arguments(by_name)
        passed = _passed_on(init, rest)
        if passed is None:
            return Arguments(by_name, is_open=True)
        num_given, names, used = passed
        given |= names
        defaults |= used
        for name in used:
            by_name.setdefault(name, inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None))
    return Arguments(by_name)


def _passed_on(init: Callable, rest: str) -> tuple[int, set[str], set[str]] | None:
    """How ``init`` calls its base's with ``**rest``: positional arguments, keywords, and the keys of ``rest``
    that it sets or reads itself. None: it does not pass them on.
    """
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(init)))
    except (OSError, TypeError, SyntaxError):
        return None
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    used = {
        call.args[0].value
        for call in calls
        if isinstance(call.func, ast.Attribute)
        and call.func.attr in ("pop", "get", "setdefault")
        and isinstance(call.func.value, ast.Name)
        and call.func.value.id == rest
        and call.args
        and isinstance(call.args[0], ast.Constant)
    }
    for call in calls:
        if not (isinstance(call.func, ast.Attribute) and call.func.attr == "__init__"):
            continue
        if any(k.arg is None and isinstance(k.value, ast.Name) and k.value.id == rest for k in call.keywords):
            by_super = isinstance(call.func.value, ast.Call)
            plain = [arg for arg in call.args if not isinstance(arg, ast.Starred)]
            names = {k.arg for k in call.keywords if k.arg is not None}
            return len(plain) - (not by_super), names, used
    return None


_KINDS = {
    str: "text",
    int: "a number",
    float: "a number",
    bool: "True or False",
    type(None): "None",
    list: "a list",
    tuple: "a list",
    dict: "a dict",
}
_KINDS_BY_NAME = {"None": "None", **{t.__name__: kind for t, kind in _KINDS.items()}}


def wrong_kind(value: Any, parameter: inspect.Parameter) -> str | None:
    """What kind of value ``parameter``'s annotation asks for where ``value`` is plainly of another.

    None where it fits, or where the annotation does not say. A bool passes for a number and the other way.
    """
    allowed = _allowed_kinds(parameter.annotation)
    kind = next((_KINDS[t] for t in type(value).__mro__ if t in _KINDS), None)
    if allowed is None or kind is None or kind in allowed or value is parameter.default:
        return None
    if {kind} < {"a number", "True or False"} and allowed & {"a number", "True or False"}:
        return None
    return " or ".join(sorted(allowed))


def _allowed_kinds(annotation: Any) -> set[str] | None:
    if isinstance(annotation, str):
        names = [name.strip() for name in annotation.split("|")]
        known = all(name in _KINDS_BY_NAME for name in names)
        return {_KINDS_BY_NAME[name] for name in names} if known else None
    if annotation in (None, type(None)):
        return {"None"}
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        return _union(typing.get_args(annotation))
    if inspect.isclass(origin or annotation):
        cls = origin or annotation
        if cls in _KINDS:
            return {_KINDS[cls]}
        if cls in (os.PathLike, Path):
            return {"text"}
        if cls is Mapping:
            return {"a dict"}
        if cls in (Sequence, Iterable):
            return {"a list"}
    return None


def _union(annotations: Iterable[Any]) -> set[str] | None:
    kinds = [_allowed_kinds(one) for one in annotations]
    return None if None in kinds else set().union(*kinds)
