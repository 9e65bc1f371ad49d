"""Image translation by a generator that a discriminator, pixel losses or both train."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from mmengine.model import BaseModel
from torch import Tensor, nn
from torch.nn import functional as F

from cellmm.checks import check_whole
from cellmm.errors import CellMMError
from cellmm.models.derive import build_derived
from cellmm.registry import MODELS
from cellmm.structures import CellSample

CONSTRUCTOR = (
    "dict(constructor='PartsOptimWrapperConstructor', generator=dict(optimizer=...), "
    "discriminator=dict(optimizer=...))"
)


@MODELS.register_module()
class Pix2Pix(BaseModel):
    """Translate images (phase contrast, masks) into others (brightfield) of the same size.

    The generator's loss is the discriminator's cross-entropy, as if its images were real (eq. 4.6 in the form
    that pix2pix trains with, -log D in place of log(1 - D)), plus ``losses``, by default 100 times the mean
    absolute difference (eq. 4.7, 4.8). The discriminator's loss is half the sum of its cross-entropies with
    the real and the generated images. In each training step the generator runs once; the discriminator takes
    its step, then the generator its own, with the discriminator as it is then.

    With a discriminator the optimizer is one per part, by PartsOptimWrapperConstructor. If a part's loss or
    gradient is not finite, the step of that part is not taken, nor that of a part after it: the
    discriminator's is taken already where only the generator's is bad.

    ``discriminator=None`` trains with ``losses`` alone, by an ordinary optimizer. With the mean squared error
    and the cross-entropy of both images scaled to [0, 1] this is the autoencoder of sparseseunet 5.6.

    ``forward(inputs, data_samples, mode)``: inputs are float32 (B, C, H, W) in [-1, 1]. ``'loss'`` gives
    ``loss_discriminator``, ``loss_adversarial`` and one loss per entry of ``losses``; ``'tensor'`` the
    images (B, C', H, W), in [-1, 1]; ``'predict'`` the samples with ``pred_image``, float32 (C', h, w) on the
    CPU. Dropout stays on in all modes. In ``'predict'`` it is drawn from ``seed`` and the ``img_id``: the
    same image comes out the same, in any batch and on any device up to rounding.

    Source: sparseseunet 4.4.2; pix2pix.

    Args:
        data_preprocessor: config; its ``in_channels`` are those of the inputs.
        target_channels: of the images that come out.
        generator: config of a network like UNetGenerator; None: the published one.
        discriminator: config of a network like PatchGANDiscriminator; None: none. An empty dict is the
            published one.
        adversarial_weight: factor of the cross-entropy in the generator's loss.
        losses: configs of losses of pixels, by name. Losses of values take both images in [-1, 1], losses of
            logits (BCELoss) take 2 z, where tanh(z) is the image, and the target scaled to [0, 1].
        window: images are translated in windows of this many pixels a side that do not overlap, a multiple
            of the generator's divisor; None: whole.
        seed: of the dropout in ``'predict'``, 0 or more.

    Attributes:
        learns_cells: False: training needs no annotated cells.

    Raises:
        ValueError: an argument out of range.
        CellMMError: in training, images that do not fit their targets or the generator.
    """

    learns_cells = False
    default_parts = dict(generator="UNetGenerator", discriminator="PatchGANDiscriminator")
    part_arguments = dict(generator=("in_channels", "out_channels"), discriminator=("in_channels",))

    def __init__(
        self,
        data_preprocessor: dict,
        target_channels: int,
        generator: dict | None = None,
        discriminator: dict | None = None,
        adversarial_weight: float = 1.0,
        losses: Mapping[str, dict] | None = None,
        window: int | None = None,
        seed: int = 0,
        init_cfg: dict | None = None,
    ) -> None:
        check_whole(1, target_channels=target_channels, window=window)
        check_whole(0, seed=seed)
        channels = data_preprocessor["in_channels"]
        generator = build_derived(
            MODELS,
            dict(type=self.default_parts["generator"]) | (generator or {}),
            "model.generator",
            in_channels=channels,
            out_channels=target_channels,
        )
        preprocessor = build_derived(
            MODELS, data_preprocessor, "model.data_preprocessor", divisor=generator.divisor
        )
        super().__init__(preprocessor, init_cfg)
        self.generator, self.discriminator = generator, None
        if discriminator is not None:
            self.discriminator = build_derived(
                MODELS,
                dict(type=self.default_parts["discriminator"]) | discriminator,
                "model.discriminator",
                in_channels=channels + target_channels,
            )
        if losses is None:
            losses = dict(l1=dict(type="L1Loss", loss_weight=100.0))
        if discriminator is None and not losses:
            raise ValueError("losses is empty and there is no discriminator, so nothing would be learned")
        if window is not None and window % generator.divisor:
            raise ValueError(f"window must be a multiple of {generator.divisor}, got {window}")
        if not adversarial_weight > 0:
            raise ValueError(f"adversarial_weight must be above 0, got {adversarial_weight}")
        self.losses = nn.ModuleDict({name: MODELS.build(config) for name, config in losses.items()})
        self.adversarial_weight, self.window, self.seed = adversarial_weight, window, seed
        self.target_channels = target_channels

    def forward(
        self, inputs: Tensor, data_samples: list[CellSample] | None = None, mode: str = "tensor"
    ) -> dict[str, Tensor] | list[CellSample] | Tensor:
        if mode == "tensor":
            return torch.tanh(self.generator(inputs).float())
        if mode == "predict":
            for image, sample in zip(inputs, data_samples, strict=True):
                sample.pred_image = self._translate(image, sample)
            return data_samples
        if mode != "loss":
            raise ValueError(f"mode must be 'loss', 'predict' or 'tensor', got {mode!r}")
        target = self.stack_targets(inputs, data_samples)
        z = self.generator(inputs)
        losses = self.generator_losses(inputs, z, target)
        if self.discriminator is not None:
            losses["loss_discriminator"] = self.discriminator_loss(inputs, torch.tanh(z.float()), target)
        return losses

    def train_step(
        self, data: dict, optim_wrapper: Any, parts: Mapping[str, nn.Module] | None = None
    ) -> dict[str, Tensor]:
        """A step of each part; the losses, and the generator's sum as ``loss``.

        ``parts``: what stands for the generator and the discriminator where several processes train, see
        PartsDistributedDataParallel.
        """
        if self.discriminator is None:
            return super().train_step(data, optim_wrapper)
        if not hasattr(optim_wrapper, "keys") or set(optim_wrapper.keys()) != {"generator", "discriminator"}:
            raise CellMMError(
                f"optim_wrapper: Pix2Pix with a discriminator needs two; set it to {CONSTRUCTOR}"
            )
        data = self.data_preprocessor(data, True)
        inputs, target = data["inputs"], self.stack_targets(data["inputs"], data["data_samples"])
        parts = parts or {}
        generator = parts.get("generator", self.generator)
        discriminator = parts.get("discriminator", self.discriminator)
        with optim_wrapper["generator"].optim_context(generator):
            z = generator(inputs)
        fake = torch.tanh(z.float()).detach()
        with optim_wrapper["discriminator"].optim_context(discriminator):
            real_logits, fake_logits = discriminator(inputs, target, fake)
        loss = _discriminator_loss(real_logits, fake_logits)
        optim_wrapper["discriminator"].update_params(loss)
        self.discriminator.requires_grad_(False)  # the generator's loss goes through it
        try:
            with optim_wrapper["generator"].optim_context(generator):
                losses = self.generator_losses(inputs, z, target)
            total, logged = self.parse_losses(losses)
            if not optim_wrapper["discriminator"].refused:
                optim_wrapper["generator"].update_params(total)
        finally:
            self.discriminator.requires_grad_(True)
        return dict(logged, loss_discriminator=loss.detach())

    def discriminator_loss(self, inputs: Tensor, fake: Tensor, target: Tensor) -> Tensor:
        """Half the sum of the cross-entropies of real and generated images, (B, C', H, W) each."""
        return _discriminator_loss(*self.discriminator(inputs, target, fake.detach()))

    def generator_losses(self, inputs: Tensor, z: Tensor, target: Tensor) -> dict[str, Tensor]:
        """The losses of images tanh(``z``), (B, C', H, W)."""
        z = z.float()
        fake, losses = torch.tanh(z), {}
        if self.discriminator is not None:
            (logits,) = self.discriminator(inputs, fake)
            losses["loss_adversarial"] = self.adversarial_weight * _cross_entropy(logits, 1.0)
        for name, loss in self.losses.items():
            pair = (fake, target) if getattr(loss, "of_values", False) else (2 * z, (target + 1) / 2)
            losses[f"loss_{name}"] = loss(*pair)
        return losses

    def stack_targets(self, inputs: Tensor, samples: list[CellSample]) -> Tensor:
        """``gt_image`` of all samples, (B, C', H, W)."""
        wanted = (self.target_channels, *inputs.shape[-2:])
        for sample in samples:
            if "gt_image" not in sample:
                raise CellMMError("train_dataloader.dataset.pipeline: it has to end with PackImagePair")
            if tuple(sample.gt_image.shape) != wanted:
                shape = tuple(sample.gt_image.shape)
                raise CellMMError(
                    f"{sample.get('img_path')}: a target (C, H, W) of {shape}, but {wanted} is needed, sides "
                    f"in multiples of {self.generator.divisor}; take RandomCrop with such a crop_size, and "
                    "model.target_channels as the files have"
                )
        return torch.stack([sample.gt_image for sample in samples])

    @torch.no_grad()
    def _translate(self, image: Tensor, sample: CellSample) -> Tensor:
        """One image of a batch (C, H, W) without its padding -> (C', h, w) on the CPU."""
        height, width = sample.img_shape
        divisor = self.window or self.generator.divisor
        image = image[None, :, :height, :width]
        image = F.pad(image, (0, -width % divisor, 0, -height % divisor), mode="replicate")
        numbers = np.random.SeedSequence((self.seed, sample.get("img_id", 0))).generate_state(1)
        rng = torch.Generator().manual_seed(int(numbers[0]))
        found = image.new_empty(1, self.target_channels, *image.shape[-2:])
        sides = [self.window or side for side in image.shape[-2:]]
        for y in range(0, image.shape[-2], sides[0]):
            for x in range(0, image.shape[-1], sides[1]):
                part = np.s_[:, :, y : y + sides[0], x : x + sides[1]]
                found[part] = torch.tanh(self.generator(image[part], rng).float())
        return found[0, :, :height, :width].float().cpu()


def _discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    return (_cross_entropy(real_logits, 1.0) + _cross_entropy(fake_logits, 0.0)) / 2


def _cross_entropy(logits: Tensor, label: float) -> Tensor:
    """The mean over all patches: 1.0 is real, 0.0 is generated."""
    logits = logits.float()
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))
