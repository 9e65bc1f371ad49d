"""What of a model learns and what stays as it is."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import nn


def describe_frozen(model: nn.Module, names: Sequence[str]) -> str:
    """How much of a model learns, as a line for the log."""
    parts = [model.get_submodule(name) for name in names]
    norms = sum(isinstance(m, nn.modules.batchnorm._BatchNorm) for part in parts for m in part.modules())
    total = sum(parameter.numel() for parameter in model.parameters())
    learned = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    kept = f"; batch norms that keep their statistics: {norms}" if norms else ""
    return (
        f"frozen: {', '.join(names)}: {total - learned:,} of {total:,} parameters stay as they are, "
        f"{learned:,} learn{kept}"
    )


@contextmanager
def thawed(model: nn.Module) -> Iterator[None]:
    """Let all parameters of the parts ``model.frozen`` take gradients for a while."""
    frozen = [p for name in getattr(model, "frozen", ()) for p in model.get_submodule(name).parameters()]
    try:
        for parameter in frozen:
            parameter.requires_grad_(True)
        yield
    finally:
        for parameter in frozen:
            parameter.requires_grad_(False)
