"""Mixed precision on the CPU: dtype of the forward pass, accumulation, scaler state."""

import pytest
import torch
from torch import nn

from cellmm.engine.amp import has_native_bfloat16
from cellmm.registry import OPTIM_WRAPPERS


def build(dtype, **options):
    torch.manual_seed(0)
    model = nn.Linear(4, 2)
    wrapper = OPTIM_WRAPPERS.build(
        dict(
            type="CellAmpOptimWrapper",
            dtype=dtype,
            optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
            **options,
        )
    )
    return model, wrapper


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "auto"])
def test_forward_in_low_precision_weights_in_full(dtype):
    model, wrapper = build(dtype, clip_grad=dict(max_norm=1.0))
    before = model.weight.detach().clone()
    x = torch.rand(8, 4)
    with wrapper.optim_context(model):
        out = model(x)
    low = torch.float16 if dtype == "float16" else torch.bfloat16
    assert out.dtype == (low if dtype != "auto" or has_native_bfloat16(wrapper.device) else torch.float32)
    wrapper.update_params(out.float().square().mean())
    assert model.weight.dtype == torch.float32
    assert not torch.equal(model.weight, before)


def test_accumulation_steps_every_second_time():
    model, wrapper = build("bfloat16", accumulative_counts=2)
    wrapper.initialize_count_status(model, 0, 4)
    changed = []
    for _ in range(4):
        before = model.weight.detach().clone()
        with wrapper.optim_context(model):
            loss = model(torch.ones(2, 4)).float().square().mean()
        wrapper.update_params(loss)
        changed.append(not torch.equal(model.weight, before))
    assert changed == [False, True, False, True]


def test_the_scaler_is_saved_and_restored():
    _, wrapper = build("float16")
    wrapper.scaler.scale(torch.ones(1))  # makes the scale
    wrapper.scaler.update(1024.0)
    state = wrapper.state_dict()
    _, other = build("float16")
    other.load_state_dict(state)
    assert other.scaler.state_dict()["scale"] == 1024.0


def test_unknown_dtype():
    with pytest.raises(ValueError, match="got 'float8'"):
        build("float8")
