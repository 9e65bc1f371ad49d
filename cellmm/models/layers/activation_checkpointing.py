"""Activations that are computed again with the gradients, to save memory."""

import difflib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from cellmm.errors import CellMMError


class CheckpointedSequential(nn.Sequential):
    """A Sequential that keeps nothing but its input in training where ``activation_checkpointing`` is set.

    The result, the gradients and the statistics of batch norms are those of a plain Sequential: the second
    time, statistics stay as they are. Source: torch.utils.checkpoint; Chen et al., Training Deep Nets
    with Sublinear Memory Cost.
    """

    activation_checkpointing = False

    def forward(self, x: Tensor) -> Tensor:
        if not (self.activation_checkpointing and self.training):
            return super().forward(x)
        return checkpoint(
            super().forward,
            x,
            use_reentrant=False,  # the other form gives no gradient if the input needs none, as images do
            context_fn=lambda: (nullcontext(), self._statistics_stay()),
        )

    @contextmanager
    def _statistics_stay(self) -> Iterator[None]:
        norms = [module for module in self.modules() if getattr(module, "track_running_stats", False)]
        before = [(norm.momentum, norm.num_batches_tracked.clone()) for norm in norms]
        for norm in norms:
            norm.momentum = 0.0
        try:
            yield
        finally:
            for norm, (momentum, num_batches) in zip(norms, before, strict=True):
                norm.momentum = momentum
                norm.num_batches_tracked.copy_(num_batches)


def recompute_activations(model: nn.Module, names: Sequence[str]) -> None:
    """Set ``activation_checkpointing`` of the stacks ``names`` of the model, as ``encoder.levels.0``.

    Raises:
        CellMMError: there is no such stack.
    """
    stacks = {name: m for name, m in model.named_modules() if isinstance(m, CheckpointedSequential)}
    for name in names:
        if not stacks:
            raise CellMMError(
                "model.activation_checkpointing: the model has no stack of convolutions that can be "
                "computed again; leave it out"
            )
        if name not in stacks:
            near = difflib.get_close_matches(name, stacks, 1, 0)
            raise CellMMError(
                f"model.activation_checkpointing: there is no stack of convolutions {name!r}; did you "
                f"mean {near[0]}?"
            )
        stacks[name].activation_checkpointing = True
