"""The class or function that a ``type`` of a config means."""

import inspect
from collections.abc import Callable, Iterator
from typing import Any

from mmengine.registry import WEIGHT_INITIALIZERS, Registry

from cellmm.datasets.transforms.albumentations import library
from cellmm.registry import ALL


class _Albumentations(Registry):
    """The transforms of albumentations, which is imported when one is looked for."""

    def import_from_location(self) -> None:
        if self.module_dict:
            return
        A = library()
        for name, cls in inspect.getmembers(A, inspect.isclass):
            if issubclass(cls, A.BasicTransform):  # those that hold others cannot be built from dicts
                self.register_module(name=name, module=cls)


ALBUMENTATIONS = _Albumentations("albumentations")
REGISTRIES = {**ALL, "WEIGHT_INITIALIZERS": WEIGHT_INITIALIZERS, "ALBUMENTATIONS": ALBUMENTATIONS}


def component_of(part: Any, *registries: str) -> Callable | None:
    """The class or function that a part of a config is built by; None where there is none.

    Args:
        part: a dict with a ``type``, or the type itself: a class, its name, or that with a scope or module.
        registries: names of registries of ``cellmm.registry``, in the order of search; by default all.
    """
    kind = part.get("type") if isinstance(part, dict) else part
    if not isinstance(kind, str):
        return kind if inspect.isclass(kind) or inspect.isroutine(kind) else None
    scope, _, name = kind.rpartition(".")
    for registry in _with_parents(registries):
        if name in registry.module_dict and scope in ("", registry.scope):
            return registry.module_dict[name]
    if not scope or not all(word.isidentifier() for word in kind.split(".")):
        return None
    try:  # of another package's registry, or module.Class
        found = REGISTRIES[registries[0] if registries else "MODELS"].get(kind)
    except (RuntimeError, ImportError, AttributeError, TypeError, ValueError):
        return None
    return found if callable(found) else None


def has_weights(model: Any) -> bool:
    """Whether what a config has as ``model`` learns, and is used with a checkpoint.

    False: its class says so by ``has_weights = False``.
    """
    return getattr(component_of(model, "MODELS"), "has_weights", True)


def component_names(*registries: str) -> list[str]:
    """All names that ``component_of`` finds."""
    return list(
        dict.fromkeys(name for registry in _with_parents(registries) for name in registry.module_dict)
    )


def _with_parents(names: tuple[str, ...]) -> Iterator[Registry]:
    for name in names or REGISTRIES:
        registry = REGISTRIES[name]
        registry.import_from_location()
        while registry is not None:
            yield registry
            registry = registry.parent
