"""A config as Python text: one key per line, and the same config when it is read again."""

import keyword
import math
import re
import sys
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any

from mmengine.config import Config

WIDTH = 110  # a list without dicts that fits is one line
INDENT = "    "
# what ``repr`` writes as it was
_PLAIN = (str, bytes, bool, int, float, complex, type(None), type(...), range)


def config_text(cfg: Config) -> str:
    """Python whose execution gives ``cfg``, keys in their order; the same for the same config.

    Classes and functions become their dotted name, by which ``type`` finds them, paths become text.
    """
    return "".join(f"{key} = {_text(value, '')}\n" for key, value in cfg.to_dict().items())


def use_config_text() -> None:
    """Let mmengine write configs by ``config_text``.

    mmengine formats the text anew for every checkpoint: a second each time, two minutes for 3,000 dicts.
    """
    Config.pretty_text = property(config_text)


def objects(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted key, value) of all that a config file cannot hold: arrays, instances, modules, lambdas.

    Classes and functions that can be imported are fine as a ``type``, and as variables of the file.
    """
    if isinstance(tree, dict):
        for key, value in tree.items():
            here = f"{path}.{key}" if path else str(key)
            if not (_dotted_name(value) and (key == "type" or not path)):
                yield from objects(value, here)
    elif type(tree) in (list, tuple):
        for i, value in enumerate(tree):
            yield from objects(value, f"{path}.{i}")
    elif type(tree) in (set, frozenset):
        if not all(type(value) in _PLAIN for value in tree):
            yield path, tree
    elif type(tree) not in _PLAIN and not isinstance(tree, PurePath):
        yield path, tree


def _text(value: Any, indent: str) -> str:
    below = indent + INDENT
    if isinstance(value, dict):
        if all(isinstance(key, str) and _is_name(key) for key in value):
            left, right, parts = "dict(", ")", [f"{key}={_text(part, below)}" for key, part in value.items()]
        else:
            parts = [f"{_text(key, below)}: {_text(part, below)}" for key, part in value.items()]
            left, right = "{", "}"
    elif isinstance(value, (list, tuple)):
        left, right = "[]" if isinstance(value, list) else "()"
        parts = [_text(part, below) for part in value]
        line = ", ".join(parts) + ("," if left == "(" and len(parts) == 1 else "")
        if len(indent) + len(line) < WIDTH and "\n" not in line and not any(map(_is_dict, value)):
            return f"{left}{line}{right}"
    else:
        return _atom(value)
    return "".join([left, *(f"\n{below}{part}," for part in parts), f"\n{indent}" if parts else "", right])


def _atom(value: Any) -> str:
    if type(value) in (set, frozenset):
        text = ", ".join(sorted(map(_atom, value)))
        return f"{type(value).__name__}({f'[{text}]' if text else ''})"
    if isinstance(value, float):
        value = float(value)
        return repr(value) if math.isfinite(value) else f"float('{value}')"
    if type(value) not in _PLAIN or isinstance(value, str):
        value = _dotted_name(value) or str(value)
        return re.sub(r"\{(?=\{)", r"\\x7b", repr(value))  # mmengine fills in what stands in {{ }}
    return repr(value)


def _dotted_name(value: Any) -> str | None:
    """'module.Class' of what can be imported by it, else None."""
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str) or not callable(value):
        return None
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return f"{module}.{name}" if found is value else None


def _is_dict(value: Any) -> bool:
    return isinstance(value, dict)


def _is_name(key: str) -> bool:
    return key.isidentifier() and not keyword.iskeyword(key)
