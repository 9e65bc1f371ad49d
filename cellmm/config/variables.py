"""Variables of a config file: those that nothing reads, and those that are changed without effect."""

from collections.abc import Iterator
from typing import Any

from cellmm.config.foreign import CURES_BY_KEY
from cellmm.config.lookup import component_of
from cellmm.config.schema import LOADERS, TOP_LEVEL_KEYS


def unread(config: dict) -> Iterator[tuple[str, str]]:
    """Names of other libraries whose value no key of the config has, each with what to write instead."""
    nodes = [(path[-1], value) for path, value in _nodes(config) if path[0] in TOP_LEVEL_KEYS]
    for name in CURES_BY_KEY.keys() & {key for key, value in config.items() if value is not None}:
        value, keys = config[name], (name, "max_iters", "max_epochs", "load_from")
        is_long = isinstance(value, dict | list) and value  # never the same by chance
        if not any(same(part, value) and (is_long or key in keys) for key, part in nodes):
            yield name, f"nothing reads it; {CURES_BY_KEY[name]}"


def unused_pipelines(config: dict) -> Iterator[tuple[str, str]]:
    """Pipelines named after a data set whose dataloader is there, and which no dataloader has."""
    nodes = [value for path, value in _nodes(config) if path[0] in LOADERS]
    for name, steps in config.items():
        loader = next((key for key in LOADERS if name.startswith(key.split("_")[0])), None)
        if name in TOP_LEVEL_KEYS or config.get(loader) is None or not isinstance(steps, list):
            continue
        is_pipeline = any(component_of(step, "TRANSFORMS") for step in steps if isinstance(step, dict))
        if is_pipeline and not any(_holds(value, steps) for value in nodes):
            text = f"no dataloader uses it; set {loader}.dataset.pipeline={name} too, or drop it"
            yield name, f"{text} with {name}=None"


def without_effect(before: dict, after: dict, same_name: bool = False) -> Iterator[tuple[str, str]]:
    """Variables that are changed after something was made of them, and the keys that have the old value.

    Args:
        before, after: the config in which something is made of the variables, and one that changes them.
        same_name: only keys that are called as the variable count, if all have the old value, and only
            variables that are one value: of a longer piece a config may make its own.
    """
    nodes = [(path, value) for path, value in _nodes(before) if path[0] in TOP_LEVEL_KEYS]
    now = dict(_nodes(after))
    for name, old in before.items():
        new = after.get(name)
        is_piece = same_name and isinstance(new, dict | list | tuple)
        if name in TOP_LEVEL_KEYS or new is None or is_piece or same(new, old):
            continue
        made = [path for path, value in nodes if _holds(value, old)]
        named = [path for path in made if path[-1] == name]
        made = named if same_name else named or made
        stale = [path for path in made if _holds(now.get(path), old)]
        if stale and not (same_name and len(stale) < len(made)):
            yield name, ", ".join(".".join(path) for path in stale[:3])


def _nodes(tree: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """(path, value) of everything below ``tree``."""
    parts = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in parts:
        yield (*path, str(key)), value
        yield from _nodes(value, (*path, str(key)))


def _holds(value: Any, part: Any) -> bool:
    """Whether ``value`` is ``part``, or a list with the items of ``part`` one after the other."""
    size = len(part) if isinstance(part, list) and isinstance(value, list) else 0
    starts = range(len(value) - size + 1) if size else ()
    return same(value, part) or any(same(value[i : i + size], part) for i in starts)


def same(first: Any, second: Any) -> bool:
    try:
        return type(first) is type(second) and bool(first == second)
    except ValueError:  # arrays
        return False
