"""Parts of a model are built with what follows from other parts, so that no config repeats it."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from mmengine.registry import Registry

from cellmm.arguments import arguments_of
from cellmm.errors import CellMMError
from cellmm.models.feature_spec import FeatureSpec, channels_of


def build_derived(registry: Registry, config: Mapping[str, Any], where: str, **derived: Any) -> Any:
    """Build ``config`` with those of the ``derived`` arguments that its constructor names.

    Args:
        where: key of ``config`` in the whole config, such as ``model.encoder``, for messages.
        derived: values by the names of arguments; None: this one cannot be derived.

    Raises:
        CellMMError: the config states another value than the derived one.
    """
    config = dict(config)
    names = argument_names(_constructor(registry, config))
    for name, value in derived.items():
        if value is None or name not in names:
            continue
        if name in config and _plain(config[name]) != _plain(value):
            raise CellMMError(
                f"{where}.{name}: {config[name]!r}, but {_plain(value)!r} follows from the other parts; "
                "leave it out"
            )
        config[name] = value
    return registry.build(config)


def build_part(
    owner: Any, registry: Registry, name: str, config: Mapping[str, Any] | None, **derived: Any
) -> Any:
    """Build part ``name`` of ``owner``, whose class attributes are those of ``heads.base.OwnsParts``.

    The constructor of the part gets those of the ``derived`` arguments that it names, see build_derived.

    Raises:
        CellMMError: ``part_arguments`` of the owner does not name the ``derived`` arguments.
    """
    if set(derived) != set(getattr(owner, "part_arguments", {}).get(name, ())):
        raise CellMMError(
            f"{type(owner).__name__}.part_arguments: does not say what the part gets; set "
            f"{name!r}: {tuple(derived)!r} in it"
        )
    kinds = getattr(owner, "default_parts", {})
    default = {"type": kinds[name]} if name in kinds else {}
    return build_derived(registry, default | dict(config or {}), f"{type(owner).__name__}.{name}", **derived)


def argument_of(registry: Registry, config: Mapping[str, Any], name: str) -> Any:
    """The value that ``config`` gives to an argument, or the argument's default; None: there is neither."""
    if name in config:
        return config[name]
    default = argument_names(_constructor(registry, config)).get(name, inspect.Parameter.empty)
    return None if default is inspect.Parameter.empty else default


def from_specs(specs: tuple[FeatureSpec, ...]) -> dict[str, Any]:
    """What a decoder may name in its constructor, from the specs of the maps that it takes, finest first."""
    return dict(in_specs=tuple(specs), in_channels=channels_of(specs))


def argument_names(constructor: Callable | None) -> dict[str, Any]:
    """{argument: default} of a function or a class, see ``arguments_of``; {} without a constructor."""
    if constructor is None:
        return {}
    return {name: p.default for name, p in arguments_of(constructor).by_name.items()}


def _constructor(registry: Registry, config: Mapping[str, Any]) -> Callable | None:
    """None: there is no such component, and building it will say so."""
    kind = config.get("type")
    return registry.get(kind) if isinstance(kind, str) else kind


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, (list, tuple)) else value
