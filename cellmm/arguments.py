"""The keyword arguments that a class or a function takes."""

import ast
import functools
import inspect
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Arguments:
    """Keyword arguments by name; ``is_open``: the component takes others too."""

    by_name: Mapping[str, inspect.Parameter]
    is_open: bool = False

    @property
    def required(self) -> list[str]:
        return [name for name, p in self.by_name.items() if p.default is p.empty]


@dataclass(frozen=True)
class _BaseCall:
    """How a constructor calls its base's: what it gives itself, and the keys of **kwargs that it uses.

    Keys that it uses are arguments with an unknown default, None here.
    """

    num_positional: int = 0
    given: frozenset[str] = frozenset()
    used: frozenset[str] = frozenset()


@functools.cache
def arguments_of(component: Callable) -> Arguments:
    """What ``component(**arguments)`` takes; a class's bases count too, as long as it passes **kwargs on."""
    bases = component.__mro__[:-1] if inspect.isclass(component) else ()
    inits = [vars(base)["__init__"] for base in bases if "__init__" in vars(base)]
    by_name: dict[str, inspect.Parameter] = {}
    given: set[str] = set()
    unknown: set[str] = set()  # defaults
    num_positional = 0
    for function in inits or [component]:
        try:
            parameters = list(inspect.signature(function).parameters.values())
        except (ValueError, TypeError):  # written in C
            return Arguments(by_name, is_open=True)
        parameters = parameters[1:] if inits else parameters  # without self
        given.update(p.name for p in parameters[:num_positional])
        for p in parameters:
            if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and p.name not in given:
                by_name.setdefault(p.name, p.replace(default=None) if p.name in unknown else p)
        rest = next((p.name for p in parameters if p.kind is p.VAR_KEYWORD), None)
        if rest is None:
            return Arguments(by_name)
        call = _base_call(function, rest) if inits else None
        if call is None:
            return Arguments(by_name, is_open=True)
        num_positional = call.num_positional
        given |= call.given
        unknown |= call.used
        for name in sorted(call.used):
            by_name.setdefault(name, inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None))
    return Arguments(by_name)


def _base_call(init: Callable, rest: str) -> _BaseCall | None:
    """The call in ``init`` of its base's constructor with ``**rest``; None: there is none."""
    try:
        nodes = list(ast.walk(ast.parse(textwrap.dedent(inspect.getsource(init)))))
    except (OSError, TypeError, SyntaxError):
        return None
    calls = [node for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
    keys = [node.slice for node in nodes if isinstance(node, ast.Subscript) and _is_name(node.value, rest)]
    used = set()
    for call in calls:
        if _is_name(call.func.value, rest):  # kwargs.pop("width", 1), kwargs.update(size=4)
            keys += call.args[:1]
            used.update(keyword.arg for keyword in call.keywords)
    used.update(key.value for key in keys if isinstance(key, ast.Constant))
    for call in calls:
        passes_on = any(keyword.arg is None and _is_name(keyword.value, rest) for keyword in call.keywords)
        if call.func.attr == "__init__" and passes_on:
            is_super = isinstance(call.func.value, ast.Call)
            plain = [argument for argument in call.args if not isinstance(argument, ast.Starred)]
            given = frozenset(keyword.arg for keyword in call.keywords) - {None}
            return _BaseCall(len(plain) - (not is_super), given, frozenset(used) - {None})
    return None


def _is_name(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name
