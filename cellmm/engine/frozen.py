"""What of a model learns and what stays as it is."""

from collections.abc import Sequence

from torch import nn


def describe_frozen(model: nn.Module, names: Sequence[str]) -> str:
    """How much of a model learns, as a line for the log."""
    parts = [model.get_submodule(name) for name in names]
    norms = sum(isinstance(m, nn.modules.batchnorm._BatchNorm) for part in parts for m in part.modules())
    total = sum(parameter.numel() for parameter in model.parameters())
    learned = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    kept = f", and {norms} batch norms keep their statistics" if norms else ""
    return (
        f"frozen: {', '.join(names)}: {total - learned:,} of {total:,} parameters stay as they are{kept}; "
        f"{learned:,} learn"
    )
