"""What a package holds, for those who write it and those who read it."""

from collections.abc import Mapping, Sequence
from typing import Any

FORMAT = 1  # raised when what an older cellmm reads from a package would be wrong
DESCRIPTION = "cellmm.json"  # what the package is, with the config as plain values
WEIGHTS = "weights.safetensors"  # of kind ``torch``
KINDS = ("onnx", "torch", "bioimageio")
MAPS = "maps"  # the graph from images to what each head gives


def flatten(value: Any, name: str) -> dict[str, Any]:
    """Tensors in nested dicts and lists, by names.

    Examples:
        >>> flatten(dict(a=1, b=[2, dict(c=3)]), "head")
        {'head.a': 1, 'head.b.0': 2, 'head.b.1.c': 3}
    """
    if isinstance(value, Mapping):
        items = value.items()
    elif isinstance(value, list | tuple):
        items = enumerate(value)
    else:
        return {name: value}
    return {key: leaf for part, inner in items for key, leaf in flatten(inner, f"{name}.{part}").items()}


def unflatten(leaves: Mapping[str, Any]) -> Any:
    """The inverse of ``flatten``, of names without the first part; a tensor alone has the name ''.

    Examples:
        >>> unflatten({"a": 1, "b.0": 2, "b.1.c": 3})
        {'a': 1, 'b': [2, {'c': 3}]}
    """
    if set(leaves) == {""}:
        return leaves[""]
    parts: dict[str, dict[str, Any]] = {}
    for name, leaf in leaves.items():
        first, _, rest = name.partition(".")
        parts.setdefault(first, {})[rest] = leaf
    values = {key: unflatten(inner) for key, inner in parts.items()}
    return list(values.values()) if all(key.isdecimal() for key in values) else values


def under(leaves: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Those whose names are ``name`` or begin with it, without it.

    Examples:
        >>> under({"a.b": 1, "ab": 2, "a": 3}, "a")
        {'b': 1, '': 3}
    """
    return {
        key[len(name) :].removeprefix("."): leaf
        for key, leaf in leaves.items()
        if key == name or key.startswith(f"{name}.")
    }


def flat_arguments(arguments: Sequence[Any]) -> list[Any]:
    """The tensors of arguments, lists among them one after another."""
    return list(flatten(arguments, "").values())
