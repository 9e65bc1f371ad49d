"""One tester for any registered component: which contract it has to follow is found from its registry."""

import inspect
from collections.abc import Callable
from typing import Any

from mmengine.model import BaseModel

from cellmm.errors import CellMMError
from cellmm.models.derive import argument_names
from cellmm.registry import ALL
from cellmm.testing.annotation_readers import check_annotation_reader
from cellmm.testing.data import check_dataset, check_sampler
from cellmm.testing.heads import check_head, check_postprocess, check_refinement
from cellmm.testing.hooks import check_hook
from cellmm.testing.losses import check_loss
from cellmm.testing.metrics import check_metric
from cellmm.testing.model_parts import check_matcher, check_model, check_nms
from cellmm.testing.rules import name_of
from cellmm.testing.track_writers import check_track_writer
from cellmm.testing.transforms import check_transform
from cellmm.testing.writers import check_writer

BY_REGISTRY: dict[str, Callable[..., None]] = dict(
    DATASETS=check_dataset,
    DATA_SAMPLERS=check_sampler,
    TRANSFORMS=check_transform,
    METRICS=check_metric,
    HOOKS=check_hook,
    WRITERS=check_writer,
    ANNOTATION_READERS=check_annotation_reader,
    TRACK_WRITERS=check_track_writer,
)
# by the arguments that a call takes, of what TASK_UTILS builds
BY_ARGUMENTS: dict[str, Callable[..., None]] = dict(
    strides=check_refinement, maps=check_postprocess, origins=check_nms, mask_logits=check_matcher
)


def check_component(config: dict, **options: Any) -> None:
    """Test a component of a config by the contract of its kind.

    Args:
        config: as in a config file; ``type`` is a registered name, or a class.
        options: of the tester of its kind, such as ``before`` of ``check_transform``.

    Raises:
        CellMMError: one line that names the component and the rule, or says that the kind is not known.
    """
    name = name_of(config)
    registry, cls = _find(config["type"])
    if registry in BY_REGISTRY:
        return BY_REGISTRY[registry](config, **options)
    check = _check_of_model_part(cls) if registry == "MODELS" else None
    if registry == "TASK_UTILS" and callable(cls):
        arguments = inspect.signature(cls.__call__).parameters
        check = next((check for key, check in BY_ARGUMENTS.items() if key in arguments), None)
    if check is None:
        raise CellMMError(f"{name}: {registry} holds parts of many kinds; call the tester of its kind")
    return check(config, **options)


def _find(kind: str | type) -> tuple[str, Any]:
    for name, registry in ALL.items():
        registry.import_from_location()
        if isinstance(kind, str) and kind in registry.module_dict:
            return name, registry.module_dict[kind]
        if not isinstance(kind, str) and kind in registry.module_dict.values():
            return name, kind
    raise CellMMError(f"{kind}: no registry of cellmm has it; register it, and import its module")


def _check_of_model_part(cls: Any) -> Callable[..., None] | None:
    """By what a class has and what its constructor names."""
    names = argument_names(cls)
    if inspect.isclass(cls) and issubclass(cls, BaseModel):
        return check_model
    if callable(getattr(cls, "loss", None)) and {"in_specs", "in_channels", "stride"} & set(names):
        return check_head
    if "loss_weight" in names:
        return check_loss
    return None
