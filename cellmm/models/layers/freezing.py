"""Parts of a model that stay as they are in training."""

import difflib
from collections.abc import Sequence

from torch import nn

from cellmm.errors import CellMMError


def freeze(model: nn.Module, names: Sequence[str]) -> tuple[str, ...]:
    """Let the parameters of parts, such as ``encoder`` or ``encoder.levels.0``, take no gradient.

    Their batch norms use and keep their running statistics only in eval mode: the model's ``train`` must
    see to that. Done before an optimizer or DistributedDataParallel is built, so that neither waits for
    gradients that never come.

    Returns:
        The names, those of parts inside of others left out.

    Raises:
        CellMMError: there is no such part, it has no parameters, or nothing is left to train.
    """
    if isinstance(names, str):
        raise CellMMError(f"model.frozen: {names!r} is one name; write a list of names: [{names!r}]")
    parts = {name: part for name, part in model.named_modules() if name}
    for name in names:
        if name not in parts:
            near = difflib.get_close_matches(str(name), parts, 3, 0.5)
            hint = f"did you mean {' or '.join(near)}?" if near else f"it has {', '.join(_top(model))}"
            raise CellMMError(f"model.frozen: the model has no part {name!r}; {hint}")
        if next(parts[name].parameters(), None) is None:
            raise CellMMError(f"model.frozen: {name} has no parameters; leave it out")
        parts[name].requires_grad_(False)
    if names and not any(parameter.requires_grad for parameter in model.parameters()):
        raise CellMMError("model.frozen: nothing is left to train; freeze fewer parts")
    return tuple(
        dict.fromkeys(name for name in names if not any(name.startswith(f"{other}.") for other in names))
    )


def _top(model: nn.Module) -> list[str]:
    """The parts that are worth naming where nothing is similar."""
    return [name for name, part in model.named_children() if next(part.parameters(), None) is not None]
