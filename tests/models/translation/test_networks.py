"""Generator and discriminator of pix2pix."""

import pytest
import torch
from torch import nn

from cellmm.errors import CellMMError
from cellmm.models.translation import PatchGANDiscriminator, UNetGenerator, receptive_field
from cellmm.registry import MODELS

NARROW = dict(type="UNetGenerator", in_channels=1, out_channels=2, widths=(4, 6, 8, 8))


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_published_generator_takes_512_px_to_one():
    generator = UNetGenerator(1, 2)
    assert generator.divisor == 512 and len(generator.encoder) == len(generator.decoder) == 9
    assert generator.output.weight.shape == (128, 2, 1, 1)
    assert [level[0].kernel_size for level in generator.encoder] == [(4, 4)] * 9


def test_generator_keeps_the_size_and_learns():
    generator = MODELS.build(NARROW)
    out = generator(torch.rand(1, 1, 16, 48))
    assert out.shape == (1, 2, 16, 48)
    out.square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in generator.parameters())


def test_every_level_reaches_the_output_by_its_skip_connection():
    """Without the coarsest level the output still depends on the input at one pixel."""
    generator = MODELS.build(NARROW | dict(norm="none")).eval()
    with torch.no_grad():
        generator.decoder[0][0].weight.zero_()
    x = torch.rand(1, 1, 16, 16)
    y = x.clone()
    y[..., 5, 5] += 1
    assert not torch.equal(generator(x, rng()), generator(y, rng()))


def test_dropout_stays_on_and_follows_its_generator():
    generator = MODELS.build(NARROW).eval()
    x = torch.rand(1, 1, 16, 16)
    with torch.no_grad():
        first, again, other = generator(x, rng(3)), generator(x, rng(3)), generator(x, rng(4))
        torch.manual_seed(0)
        plain = generator(x)
        assert not torch.equal(plain, generator(x))
        torch.manual_seed(0)
        assert torch.equal(plain, generator(x))
        state = torch.get_rng_state()
        generator(x, rng(3))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.equal(state, torch.get_rng_state())  # the explicit generator leaves the global one alone


def test_dropout_keeps_the_mean_and_drops_half():
    generator = UNetGenerator(1, 1, widths=(2, 2), dropout_levels=1)
    dropped = generator._drop(torch.ones(1, 10, 100, 100), rng())
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert dropped.mean() == pytest.approx(1.0, abs=0.01)


def test_no_dropout_is_deterministic():
    generator = MODELS.build(NARROW | dict(dropout=0.0)).eval()
    x = torch.rand(1, 1, 16, 16)
    assert torch.equal(generator(x), generator(x))
    assert torch.allclose(generator(x), generator(x, rng()))


def test_generator_names_sizes_that_it_cannot_take():
    with pytest.raises(CellMMError, match=r"20x16 px, but its 4 levels take multiples of 16"):
        MODELS.build(NARROW)(torch.rand(1, 1, 20, 16))


@pytest.mark.parametrize(
    "wrong", [dict(widths=(4,)), dict(dropout=1.0), dict(dropout_levels=5), dict(widths=(4, 0))]
)
def test_generator_refuses(wrong):
    with pytest.raises(ValueError):
        UNetGenerator(1, 2, **dict(dict(widths=(4, 6, 8, 8)), **wrong))


@pytest.mark.parametrize(
    ("strides", "field"), [((2, 2, 2, 1), 70), ((2, 2, 1), 34), ((2, 2, 2, 2, 2), 190), ((1,), 7)]
)
def test_a_patch_is_what_one_logit_depends_on(strides, field):
    """By the gradient of a logit in the middle, with positive weights so that nothing cancels out."""
    network = PatchGANDiscriminator(1 + 1, widths=(1,) * len(strides), strides=strides, norm="none")
    for part in network.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.ones_(part.weight)
    assert network.receptive_field == field == receptive_field([4] * (len(strides) + 1), [*strides, 1])
    image = torch.ones(1, 1, 3 * field, 3 * field, dtype=torch.double, requires_grad=True)
    (logits,) = network.double()(torch.ones_like(image), image)
    middle = logits.shape[-1] // 2
    logits[0, 0, middle, middle].backward()
    seen = image.grad[0, 0] > 0
    assert seen.any(0).sum() == seen.any(1).sum() == field
    assert seen.sum() == field**2


def test_the_published_patch_is_70_px():
    assert PatchGANDiscriminator(3).receptive_field == 70


def test_discriminator_is_conditioned_on_its_input():
    network = PatchGANDiscriminator(3, widths=(4, 6)[:2], strides=(2, 1)).eval()
    image = torch.rand(2, 2, 32, 32)
    (one,) = network(torch.zeros(2, 1, 32, 32), image)
    (other,) = network(torch.ones(2, 1, 32, 32), image)
    assert one.shape[:2] == (2, 1) and not torch.equal(one, other)


def test_discriminator_normalises_real_and_generated_batches_apart():
    network = PatchGANDiscriminator(3, widths=(4, 6), strides=(2, 1))
    inputs, real, fake = torch.rand(2, 1, 32, 32), torch.rand(2, 2, 32, 32), torch.zeros(2, 2, 32, 32)
    together = network(inputs, real, fake)
    assert torch.equal(together[0], network(inputs, real)[0])
    assert torch.equal(together[1], network(inputs, fake)[0])


def test_discriminator_refuses():
    with pytest.raises(ValueError, match="as many"):
        PatchGANDiscriminator(3, strides=(2, 2))
