"""The kinds of values that an argument takes."""

import inspect
import os
import types
import typing
from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

# how messages call the kinds of values that a config holds, by the annotations that ask for them
KINDS = {
    **dict.fromkeys((str, Path, os.PathLike), "text"),
    **dict.fromkeys((int, float), "a number"),
    **dict.fromkeys((list, tuple, Sequence, Iterable), "a list"),
    **dict.fromkeys((dict, Mapping), "a dict"),
    **dict.fromkeys((None, type(None)), "None"),
    bool: "True or False",
}


def wrong_kind(value: Any, parameter: inspect.Parameter) -> str | None:
    """What kind of value ``parameter``'s annotation asks for where ``value`` is plainly of another.

    None where it fits, or where the annotation does not say. Numbers and booleans pass as each other.
    """
    allowed = _allowed_kinds(parameter.annotation)
    kind = next((KINDS[cls] for cls in type(value).__mro__ if cls in KINDS), None)
    if allowed is None or kind is None or kind in allowed or value is parameter.default:
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
