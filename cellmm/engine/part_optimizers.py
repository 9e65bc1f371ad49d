"""An optimizer for each part of a model, for parts that are trained in turn."""

from collections.abc import Mapping

import mmengine.optim
from torch import nn

from cellmm.registry import OPTIM_WRAPPER_CONSTRUCTORS


class OptimWrapperDict(mmengine.optim.OptimWrapperDict):
    """mmengine's container of one wrapper per part of a model, with what hooks ask of a wrapper.

    Attributes:
        refused: whether the last update of a part was refused.
    """

    _accumulative_counts = 1

    @property
    def refused(self) -> bool:
        return any(wrapper.refused for wrapper in self.values())

    def drop_gradients(self) -> None:
        for wrapper in self.values():
            wrapper.drop_gradients()


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class PartsOptimWrapperConstructor:
    """An optimizer of its own for each part of a model, which the model's ``train_step`` has to use.

    In a config, by the names of the parts, with all that an ``optim_wrapper`` may have but
    ``accumulative_counts``::

        optim_wrapper = dict(
            constructor="PartsOptimWrapperConstructor",
            generator=dict(optimizer=dict(type="AdamW", lr=2e-4)),
            discriminator=dict(type="AmpOptimWrapper", optimizer=dict(type="AdamW", lr=2e-4)),
        )

    Args:
        optim_wrapper_cfg: {part: config of its wrapper}.
        paramwise_cfg: not here; each part may have its own.

    Raises:
        ValueError: the model has no such part, or parameters that no part has.
    """

    of_parts = True  # each key but ``constructor`` is the config of a wrapper

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        if paramwise_cfg:
            raise ValueError("paramwise_cfg is of each part, not of all of them: move it into the parts")
        self.configs = optim_wrapper_cfg

    def __call__(self, model: nn.Module) -> OptimWrapperDict:
        model, wrappers = getattr(model, "module", model), {}
        for name, config in self.configs.items():
            part = getattr(model, name, None)
            if not isinstance(part, nn.Module) or not isinstance(config, dict):
                parts = ", ".join(part for part, child in model.named_children() if list(child.parameters()))
                raise ValueError(f"{name!r} is no part of the model; its parts are {parts}")
            if config.get("accumulative_counts", 1) != 1:
                raise ValueError(f"{name}.accumulative_counts: parts that alternate cannot accumulate")
            wrappers[name] = mmengine.optim.build_optim_wrapper(part, config)
        without = [name for name, _ in model.named_parameters() if name.partition(".")[0] not in wrappers]
        if without:
            raise ValueError(f"no optimizer for {without[0].partition('.')[0]!r}; give each part one")
        return OptimWrapperDict(**wrappers)


def part_configs(optim_wrapper: Mapping) -> dict[str, dict]:
    """The configs of the parts' wrappers by name; {} of a wrapper for the whole model."""
    if optim_wrapper.get("constructor") != PartsOptimWrapperConstructor.__name__:
        return {}
    return {name: part for name, part in optim_wrapper.items() if isinstance(part, dict)}


def each_wrapper(wrapper: mmengine.optim.OptimWrapper) -> dict[str, mmengine.optim.OptimWrapper]:
    """The wrappers of the parts by name; a single wrapper has the name ''."""
    return dict(wrapper.items()) if isinstance(wrapper, mmengine.optim.OptimWrapperDict) else {"": wrapper}
