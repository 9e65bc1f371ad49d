"""A trained generator that makes images of fields of pasted cells."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cellmm.apis.trained_model import TrainedModel, load_trained
from cellmm.config.load import load_config
from cellmm.config.lookup import component_of
from cellmm.datasets.transforms import LoadImage, PackImagePair
from cellmm.errors import CellMMError
from cellmm.messages import name_some
from cellmm.models.translation import Pix2Pix
from cellmm.structures import CellSample, to_counts
from cellmm.synthesis.fields import Field
from cellmm.zoo.packages import is_package

LEAST_WHITE = 255  # of 8 bits


@dataclass(frozen=True)
class Generator:
    """A Pix2Pix model, with what its config says about counts and values.

    Args:
        trained: the model on its device.
        pack: the last step of its test pipeline.
    """

    trained: TrainedModel
    pack: PackImagePair

    def check(self, loaded: dict) -> None:
        """Raise CellMMError where an image that cells are copied from is not of the generator's kind."""
        if self.pack.takes_mask:
            return
        image, name, white = loaded["img"], loaded["img_path"], self.pack.white[0]
        channels = image.shape[2]
        if channels != self.pack.inputs:
            raise CellMMError(
                f"{name}: {channels} channels, but the generator translates images of {self.pack.inputs}; "
                "give images of the kind that it was trained with"
            )
        low, high = float(image.min()), float(image.max())
        if low < 0 or high > white:
            raise CellMMError(
                f"{name}: values from {low:g} to {high:g}, but the generator was trained with images from 0 "
                f"to {white:g}; give images of the kind that it was trained with"
            )

    def translate(self, field: Field, number: int) -> tuple[np.ndarray, int]:
        """What the generator makes of a field: uint16 (C', H, W).

        It depends on the field, ``number``, the seed and the weights alone, up to the rounding of the device.
        Also how many values of the field were clipped to what the generator takes; of masks none.
        """
        image = field.image.clip(0, self.pack.white[0])
        clipped = 0 if self.pack.takes_mask else int(np.count_nonzero(image != field.image))
        results = dict(img=image, gt_layers=field.cells)
        sample = CellSample(metainfo=dict(img_id=number, img_shape=field.cells.shape))
        (made,) = self.trained.model.test_step(
            dict(inputs=[self.pack.pack_input(results)], data_samples=[sample])
        )
        return to_counts(made.pred_image.numpy(), self.pack.white[1]), clipped


def load_generator(
    config: str | Path,
    checkpoint: str | Path | None,
    device: str = "auto",
    seed: int = 0,
    cfg_options: dict | None = None,
) -> Generator:
    """The generator of a config and its checkpoint, which is read as data.

    Args:
        seed: of the dropout.
        cfg_options: changes of the config.

    Raises:
        CellMMError: an absent or damaged file, or a model that does not translate images.
    """
    cfg = None if is_package(config) else load_config(config, cfg_options)
    model = None if cfg is None else component_of(cfg.get("model") or {}, "MODELS")
    if not (isinstance(model, type) and issubclass(model, Pix2Pix)):
        raise CellMMError(
            f"{config}: its model does not translate images; give one that a config like those of "
            "configs/pix2pix trained"
        )
    trained = load_trained(cfg, checkpoint, device)
    trained.model.seed = seed
    *others, pack = trained.steps
    names = [type(step).__name__ for step in others if not isinstance(step, LoadImage)]
    if names or not isinstance(pack, PackImagePair):
        raise CellMMError(
            f"{config}: test_dataloader.dataset.pipeline has to be LoadImage, PackImagePair and steps of "
            f"annotation, but {name_some(names or [type(pack).__name__])} is in it; leave it out"
        )
    if pack.white[1] < LEAST_WHITE:
        raise CellMMError(
            f"{config}: white of PackImagePair is {pack.white[1]:g}, but images are written as whole counts, "
            f"of {LEAST_WHITE} levels or more; train the generator with images of 8 or 16 bit"
        )
    return Generator(trained, pack)
