"""Pix2Pix: its losses, its alternating steps, and predictions that can be repeated."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from cellmm.engine import OptimWrapper, PartsOptimWrapperConstructor
from cellmm.errors import CellMMError
from cellmm.registry import MODELS, OPTIM_WRAPPER_CONSTRUCTORS
from cellmm.structures import CellSample

PREPROCESSOR = dict(type="CellDataPreprocessor", in_channels=1)
CONFIG = dict(
    type="Pix2Pix",
    data_preprocessor=PREPROCESSOR,
    target_channels=2,
    generator=dict(widths=(4, 6, 8), dropout_levels=2),
    discriminator=dict(widths=(4, 6), strides=(2, 1)),
)
ADAMW = dict(optimizer=dict(type="AdamW", lr=2e-3, betas=(0.5, 0.999)))
AUTOENCODER = dict(discriminator=None, losses=dict(mse=dict(type="MSELoss"), bce=dict(type="BCELoss")))


def build(**changes):
    torch.manual_seed(0)
    return MODELS.build({**CONFIG, **changes})


def batch(size=(16, 24), number=2, seed=0):
    rng = torch.Generator().manual_seed(seed)
    samples = [
        CellSample(metainfo=dict(img_id=i, img_path=f"{i}.tif", img_shape=size)) for i in range(1, number + 1)
    ]
    for sample in samples:
        sample.gt_image = torch.rand(2, *size, generator=rng) * 2 - 1
    inputs = [torch.rand(1, *size, generator=rng) * 2 - 1 for _ in samples]
    return dict(inputs=inputs, data_samples=samples)


def optimizers(model, **parts):
    config = dict(generator=ADAMW, discriminator=ADAMW) | parts
    return PartsOptimWrapperConstructor(copy.deepcopy(config))(model)


def weights(part):
    return [p.detach().clone() for p in part.parameters()]


def equal(some, others):
    return all(torch.equal(a, b) for a, b in zip(some, others, strict=True))


def test_the_published_model():
    model = MODELS.build(dict(CONFIG, generator=None, discriminator={}))
    assert model.generator.divisor == model.data_preprocessor.divisor == 512
    assert model.discriminator.receptive_field == 70
    assert model.discriminator.layers[0][0].in_channels == 3  # phase and two planes
    assert model.losses["l1"].loss_weight == 100


def test_losses_by_hand():
    """A generator of zeros and a discriminator of zeros: tanh(0) = 0, all logits 0."""
    model = build()
    for part in (model.generator, model.discriminator):
        nn.init.zeros_(part.output.weight)
    data = batch()
    losses = model(**model.data_preprocessor(data, True), mode="loss")
    target = torch.stack([sample.gt_image for sample in data["data_samples"]])
    assert losses["loss_l1"].item() == pytest.approx(100 * target.abs().mean().item())
    assert losses["loss_adversarial"].item() == pytest.approx(math.log(2))
    assert losses["loss_discriminator"].item() == pytest.approx(math.log(2))


def test_the_autoencoder_learns_both_images_scaled_to_0_1():
    model = build(**AUTOENCODER)
    z, target = torch.randn(2, 2, 8, 8), torch.rand(2, 2, 8, 8) * 2 - 1
    losses = model.generator_losses(torch.zeros(2, 1, 8, 8), z, target)
    image = torch.tanh(z)
    assert losses.keys() == {"loss_mse", "loss_bce"}
    assert losses["loss_mse"].item() == pytest.approx(F.mse_loss(image, target).item())
    by_hand = F.binary_cross_entropy((image + 1) / 2, (target + 1) / 2)
    assert losses["loss_bce"].item() == pytest.approx(by_hand.item(), rel=1e-5)


def test_the_autoencoder_takes_steps_of_an_ordinary_optimizer():
    model = build(**AUTOENCODER).train()
    wrapper = OptimWrapper(optimizer=torch.optim.AdamW(model.parameters(), lr=1e-3))
    before = weights(model)
    logged = model.train_step(batch(), wrapper)
    assert logged.keys() == {"loss", "loss_mse", "loss_bce"} and not equal(before, weights(model))


def test_a_step_is_that_of_each_part_alone():
    """The discriminator's by its own loss, then the generator's through the new discriminator."""
    model = build(generator=dict(widths=(4, 6, 8), dropout_levels=0)).train()
    other = copy.deepcopy(model)
    data = batch()
    logged = model.train_step(data, optimizers(model))
    inputs = torch.stack(data["inputs"])
    target = torch.stack([sample.gt_image for sample in data["data_samples"]])
    steps = {
        name: torch.optim.AdamW(getattr(other, name).parameters(), lr=2e-3, betas=(0.5, 0.999))
        for name in ("generator", "discriminator")
    }
    z = other.generator(inputs)
    loss = other.discriminator_loss(inputs, torch.tanh(z), target)
    assert logged["loss_discriminator"].item() == loss.item()
    loss.backward()
    steps["discriminator"].step()
    (logits,) = other.discriminator(inputs, torch.tanh(z))
    total = F.softplus(-logits).mean() + 100 * F.l1_loss(torch.tanh(z), target)
    assert logged["loss"].item() == pytest.approx(total.item(), rel=1e-6)
    steps["generator"].zero_grad()
    total.backward()
    steps["generator"].step()
    for name in ("generator", "discriminator"):
        for one, by_hand in zip(
            getattr(model, name).parameters(), getattr(other, name).parameters(), strict=True
        ):
            torch.testing.assert_close(one, by_hand, rtol=1e-4, atol=1e-6)


def test_no_gradient_is_left_for_the_next_step():
    model = build().train()
    model.train_step(batch(), optimizers(model))
    assert all(p.grad is None and p.requires_grad for p in model.parameters())


def test_it_learns():
    """Inverting an image: the difference falls to a fraction within a few steps."""
    model = build(generator=dict(widths=(8, 8, 8), dropout=0.0)).train()
    wrapper, data = optimizers(model), batch(number=1)
    data["data_samples"][0].gt_image = -data["inputs"][0].expand(2, -1, -1).clone()
    first = model.train_step(data, wrapper)["loss_l1"]
    for _ in range(60):
        last = model.train_step(data, wrapper)["loss_l1"]
    assert last < 0.7 * first


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_mixed_precision(dtype):
    model = build().train()
    amp = dict(ADAMW, type="AmpOptimWrapper", dtype=dtype)
    before = weights(model)
    wrapper = optimizers(model, generator=amp, discriminator=amp)
    logged = [model.train_step(batch(), wrapper) for _ in range(3)][-1]
    assert all(torch.isfinite(value) for value in logged.values()) and not equal(before, weights(model))


def test_a_bad_batch_moves_neither_part():
    model = build().train()
    data, wrapper = batch(), optimizers(model)
    data["inputs"][1][0, 0, 0] = math.nan
    before = weights(model)
    logged = model.train_step(data, wrapper)
    assert wrapper.refused and equal(before, weights(model))
    assert not all(torch.isfinite(value) for value in logged.values())
    wrapper.drop_gradients()
    model = build().train()
    wrapper = optimizers(model)
    model.train_step(batch(), wrapper)
    assert not wrapper.refused


def test_predictions_can_be_repeated_in_any_batch():
    model = build().eval()
    data = batch(size=(13, 20), number=3)
    for sample in data["data_samples"]:
        del sample.gt_image
    torch.manual_seed(5)
    first = [sample.pred_image for sample in model.test_step(copy.deepcopy(data))]
    torch.manual_seed(6)
    alone = {key: values[1:2] for key, values in copy.deepcopy(data).items()}
    (again,) = model.test_step(alone)
    assert first[0].shape == (2, 13, 20) and first[0].dtype == torch.float32
    assert torch.equal(first[1], again.pred_image) and first[0].abs().max() <= 1
    model.seed = 1
    assert not torch.equal(first[0], model.test_step(copy.deepcopy(data))[0].pred_image)


def test_dropout_differs_between_images():
    model = build().eval()
    data = batch(number=2)
    data["inputs"][1] = data["inputs"][0].clone()
    one, other = (sample.pred_image for sample in model.test_step(data))
    assert not torch.equal(one, other)


def test_windows_do_not_overlap():
    """Each window is what the model makes of this part alone."""
    model = build(window=8, generator=dict(widths=(4, 6, 8), dropout=0.0)).eval()
    data = batch(size=(16, 20), number=1)
    (whole,) = model.test_step(copy.deepcopy(data))
    part = dict(
        inputs=[data["inputs"][0][:, 8:, 8:16]], data_samples=[CellSample(metainfo=dict(img_shape=(8, 8)))]
    )
    (found,) = model.test_step(part)
    torch.testing.assert_close(whole.pred_image[:, 8:, 8:16], found.pred_image)
    assert whole.pred_image.shape == (2, 16, 20)


def test_tensor_mode():
    found = build()(torch.rand(1, 1, 8, 8))
    assert found.shape == (1, 2, 8, 8) and found.abs().max() <= 1
    with pytest.raises(ValueError, match="mode"):
        build()(torch.rand(1, 1, 8, 8), mode="other")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data["data_samples"][0].pop("gt_image"), "PackImagePair"),
        (lambda data: data.update(batch(size=(13, 20))), r"1\.tif: .*\(2, 13, 20\).*multiples of 8"),
        (
            lambda data: setattr(data["data_samples"][0], "gt_image", torch.zeros(3, 16, 24)),
            "target_channels",
        ),
    ],
)
def test_batches_that_cannot_be_learned(change, message):
    model, data = build().train(), batch()
    change(data)
    with pytest.raises(CellMMError, match=message):
        model.train_step(data, optimizers(model))


def test_one_optimizer_is_not_enough():
    model = build().train()
    wrapper = OptimWrapper(optimizer=torch.optim.AdamW(model.parameters()))
    with pytest.raises(CellMMError, match="PartsOptimWrapperConstructor"):
        model.train_step(batch(), wrapper)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(window=12), "multiple of 8"),
        (dict(adversarial_weight=0.0), "adversarial_weight"),
        (dict(discriminator=None, losses={}), "nothing would be learned"),
        (dict(seed=-1), "seed"),
        (dict(generator=dict(widths=(4, 6), in_channels=3)), "in_channels"),
    ],
)
def test_arguments_out_of_range(changes, message):
    with pytest.raises(ValueError, match=message):
        build(**changes)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (dict(generator=ADAMW), "no optimizer for 'discriminator'"),
        (
            dict(generator=ADAMW, critic=ADAMW),
            "'critic' is no part of the model; its parts are generator, disc",
        ),
        (dict(generator=ADAMW, discriminator=dict(ADAMW, accumulative_counts=2)), "cannot accumulate"),
    ],
)
def test_the_constructor_names_what_is_wrong(config, message):
    name = "PartsOptimWrapperConstructor"
    with pytest.raises(ValueError, match=message):
        OPTIM_WRAPPER_CONSTRUCTORS.build(dict(type=name, optim_wrapper_cfg=config))(build())
