"""Mixed precision on the CPU: dtype of the forward pass, accumulation, scaler state."""

import pytest
import torch
from torch import nn

from cellmm.engine.mmengine_fixes.optim_wrappers import has_native_bfloat16
from cellmm.registry import OPTIM_WRAPPERS


def build(dtype, **options):
    torch.manual_seed(0)
    model = nn.Linear(4, 2)
    wrapper = OPTIM_WRAPPERS.build(
        dict(
            type="AmpOptimWrapper",
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


@pytest.mark.parametrize("kind", ["OptimWrapper", "AmpOptimWrapper"])
@pytest.mark.parametrize("clip", [None, dict(max_norm=1.0), dict(type="value", clip_value=1.0)])
def test_a_step_that_is_not_finite_is_refused(kind, clip):
    model = nn.Linear(1, 1)
    options = dict(clip_grad=dict(clip)) if clip else {}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    wrapper = OPTIM_WRAPPERS.build(dict(type=kind, optimizer=optimizer, **options))
    before = model.weight.detach().clone()
    for bad in (torch.nan, torch.inf):
        wrapper.update_params(model(torch.ones(1, 1)).sum() * bad)
        assert wrapper.refused and torch.equal(model.weight, before)
        wrapper.update_params((model.weight - before).abs().sqrt().sum())  # slope at 0: inf
        assert wrapper.refused and torch.equal(model.weight, before)
    wrapper.update_params(model(torch.ones(1, 1)).sum())
    assert not wrapper.refused and not torch.equal(model.weight, before)


def test_clipping_is_torchs():
    models = [nn.Linear(3, 2) for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    optimizers = [torch.optim.SGD(model.parameters(), lr=1.0) for model in models]
    wrapper = OPTIM_WRAPPERS.build(
        dict(type="OptimWrapper", optimizer=optimizers[0], clip_grad=dict(max_norm=0.5, norm_type=1))
    )
    wrapper.update_params(models[0](torch.ones(1, 3)).square().sum())
    models[1](torch.ones(1, 3)).square().sum().backward()
    torch.nn.utils.clip_grad_norm_(models[1].parameters(), max_norm=0.5, norm_type=1)
    optimizers[1].step()
    assert torch.equal(models[0].weight, models[1].weight)


def test_an_overflow_of_float16_lowers_the_scale_and_is_no_failure():
    model, wrapper = build("float16")
    before = model.weight.detach().clone()
    scale = wrapper.scaler.get_scale()
    wrapper.update_params(model(torch.ones(1, 4)).sum() * 3e38 / scale)  # finite itself, its gradient is not
    wrapper.update_params(model(torch.ones(1, 4)).sum() * 1e37)
    assert not wrapper.refused and torch.equal(model.weight, before)
    assert wrapper.scaler.get_scale() < scale
    wrapper.min_loss_scale = 1e9
    wrapper.update_params(model(torch.ones(1, 4)).sum() * 1e37)
    assert wrapper.refused


def test_normalisation_and_losses_keep_their_precision_under_autocast():
    """Batch and group norm of bfloat16 features are those of float32 ones, rounded once."""
    torch.manual_seed(0)
    x = (torch.randn(2, 8, 16, 16) * 5 + 100).bfloat16()
    for norm in (nn.BatchNorm2d(8), nn.GroupNorm(2, 8), nn.LayerNorm(16)):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            low = norm(x).float()
        torch.testing.assert_close(low, norm(x.float()), rtol=1e-2, atol=1e-2)
