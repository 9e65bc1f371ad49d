"""The convention of losses, tested: cellmm/models/losses/weighted_loss.py."""

import torch
from torch import Tensor

from cellmm.registry import MODELS
from cellmm.testing.rules import build, must_work, require


def check_loss(
    config: dict, *, pred: Tensor | None = None, target: Tensor | None = None, **more: Tensor
) -> None:
    """Test that a loss is called as ``loss(pred, target, weight=None, avg_factor=None)``.

    It gives a finite scalar, 0 or more, with a gradient, also for bfloat16 and for no elements at all.
    ``weight`` has the shape of the target, and 0 leaves an element out; ``avg_factor`` divides the sum;
    ``loss_weight`` multiplies it.

    Args:
        config: of the loss.
        pred, target: tensors with equal first dimensions; default: logits and targets of 0 and 1, (4, 30).
        more: tensors that the loss takes besides.

    Raises:
        CellMMError: one line that names the loss and the rule.
    """
    generator = torch.Generator().manual_seed(0)
    pred = torch.randn(4, 30, generator=generator) if pred is None else pred
    target = (torch.rand(pred.shape, generator=generator) > 0.6).float() if target is None else target
    name, loss = build(MODELS, config)
    require(hasattr(loss, "loss_weight"), name, "it must have loss_weight")

    def value(pred: Tensor = pred, num: int | None = None, **options: object) -> Tensor:
        with must_work(name, f"loss(pred, target, {', '.join(options)})".replace(", )", ")")):
            found = loss(
                pred[:num], target[:num], **{key: value[:num] for key, value in more.items()}, **options
            )
        scalar = isinstance(found, Tensor) and found.shape == ()
        require(scalar, name, "it must give a tensor of one number, shape ()")
        require(bool(torch.isfinite(found)), name, "it must be finite; compute it in float32, of logits")
        return found

    learned = pred.clone().requires_grad_()
    found = value(learned)
    require(found.item() >= 0, name, "it must be 0 or more")
    require(found.requires_grad, name, "it must have a gradient; keep to torch's operations")
    found.backward()
    kept = learned.grad is not None and torch.isfinite(learned.grad).all() and learned.grad.any()
    require(bool(kept), name, "its gradient must be finite and not 0")
    value(pred.bfloat16())
    for options in (dict(), dict(avg_factor=1.0)):
        empty = value(num=0, **options)
        require(empty.item() == 0, name, "it must be 0 without elements")
    once, twice = value(avg_factor=1.0), value(avg_factor=2.0)
    require(bool(torch.isclose(once, 2 * twice)), name, "avg_factor must divide the sum")
    weight = torch.ones(target.shape)
    require(bool(torch.isclose(value(weight=weight), found)), name, "weight=1 must be the same as no weight")
    require(value(weight=0 * weight, avg_factor=1.0).item() == 0, name, "weight=0 must leave elements out")
    _, loss = build(MODELS, config | dict(loss_weight=3 * loss.loss_weight))
    require(bool(torch.isclose(value(), 3 * found)), name, "loss_weight must multiply it")
