"""The last transform of a pipeline for image translation."""

from collections.abc import Sequence

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from torch import Tensor

from cellmm.checks import check_whole
from cellmm.datasets.transforms.packing import META_KEYS
from cellmm.errors import CellMMError
from cellmm.registry import TRANSFORMS
from cellmm.structures import CellSample, to_symmetric

MASK = "mask"


@TRANSFORMS.register_module()
class PackImagePair(BaseTransform):
    """``results`` -> dict(inputs, data_samples): what Pix2Pix translates, and what it has to become.

    ``inputs``: float32 tensor (C, H, W); ``data_samples``: CellSample with ``gt_image``, float32 (C', H, W),
    and ``white`` of the target as metainfo. Both are 2 counts / white - 1, in [-1, 1]; ``to_counts`` goes
    back. Take no Normalize before it. Source: sparseseunet 4.4.2.

    Args:
        inputs: how many of the first channels of ``img`` are the input, the others are the target; or
            ``'mask'``: the input is 1 in cells and -1 elsewhere, and all of ``img`` is the target.
        white: the largest value that files can hold, such as 4095 of 12 bits or 65535 of 16 bits; of a pair
            the first is that of the input.

    Raises:
        ValueError: an argument out of range.
        CellMMError: values above ``white`` or below 0, no channel left for the target, or no cells loaded.
    """

    reads = ("img",)
    writes = ("inputs", "data_samples")

    def __init__(self, *, inputs: int | str = 1, white: float | Sequence[float] = 65535) -> None:
        if inputs != MASK:
            check_whole(1, inputs=inputs)
        pair = tuple(white) if isinstance(white, Sequence) else (white, white)
        if len(pair) != 2 or not all(0 < value <= 65535 for value in pair):
            raise ValueError(f"white must be one or two numbers above 0 and at most 65535, got {white}")
        self.inputs, self.white = inputs, pair

    @property
    def takes_mask(self) -> bool:
        """Whether the input is the mask of the cells."""
        return self.inputs == MASK

    def transform(self, results: dict) -> dict:
        image, name = results["img"], results.get("img_path")
        first = 0 if self.takes_mask else self.inputs
        if image.shape[-1] <= first:
            raise CellMMError(
                f"{name}: {image.shape[-1]} channels; {first} of them are the input, and none is left for "
                "the target; set inputs of PackImagePair"
            )
        sample = CellSample(metainfo={key: results[key] for key in META_KEYS if key in results})
        sample.set_metainfo(dict(white=self.white[1]))
        sample.gt_image = _channels_first(to_symmetric(image[..., first:], self.white[1], name))
        return dict(inputs=self.pack_input(results), data_samples=sample)

    def pack_input(self, results: dict) -> Tensor:
        """The input alone, float32 (C, H, W)."""
        name = results.get("img_path")
        if not self.takes_mask:
            return _channels_first(to_symmetric(results["img"][..., : self.inputs], self.white[0], name))
        if "gt_layers" not in results:
            raise CellMMError(f"{name}: no cells to make a mask of; add dict(type='LoadCells')")
        return _channels_first(2 * results["gt_layers"].covered()[..., None].astype(np.float32) - 1)


def _channels_first(image: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
