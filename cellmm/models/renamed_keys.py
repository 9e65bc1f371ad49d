"""Weights saved under earlier names: a module tells the new names, and old checkpoints load."""

from collections.abc import Mapping

from torch import Tensor, nn


def rename_on_load(module: nn.Module, renamed: Mapping[str, str]) -> None:
    """Let ``module`` load state dicts that have its tensors under earlier names.

    Args:
        module: whose ``load_state_dict`` takes the earlier names too, also as a part of a model.
        renamed: {start of an earlier name: what it is now}, both as in the module's own state dict, for
            example ``{"iam.": "activation.conv."}``. No name of today may begin with an earlier one.
    """
    module._renamed_keys = dict(renamed)
    module.register_load_state_dict_pre_hook(_rename)


def with_new_names(module: nn.Module, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``weights`` of ``module`` under the names that its state dict has now, in their order.

    Tensors of torchvision's files come under the names of the parts that say which those are, in a class
    attribute ``torchvision_names``: {start of a name in the file: start of the name in the part}.
    """
    foreign: dict[str, str] = {}
    for prefix, part in module.named_modules():
        start = f"{prefix}." if prefix else ""
        if renamed := getattr(part, "_renamed_keys", None):
            weights = _renamed(weights, renamed, start)
        foreign |= {old: start + new for old, new in getattr(part, "torchvision_names", {}).items()}
    return _renamed(weights, foreign, "")


def _rename(module: nn.Module, state_dict: dict, prefix: str, *_: object) -> None:
    renamed = _renamed(state_dict, module._renamed_keys, prefix)
    state_dict.clear()
    state_dict.update(renamed)


def _renamed(weights: Mapping[str, Tensor], renamed: Mapping[str, str], prefix: str) -> dict[str, Tensor]:
    return {_new_name(name, renamed, prefix): value for name, value in weights.items()}


def _new_name(name: str, renamed: Mapping[str, str], prefix: str) -> str:
    for old, new in renamed.items():
        if name.startswith(prefix + old):
            return prefix + new + name.removeprefix(prefix + old)
    return name
