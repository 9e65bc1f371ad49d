"""Which images a model was trained on, according to its checkpoint, and what that means for others."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import nn

from cellmm.errors import CellMMError
from cellmm.models.tile_choice import LEAST, TILE_BYTES, bytes_per_pixel, choose_tile, is_local
from cellmm.structures import CellSample

SLACK = 0.05  # of a scale
LARGER = 1.5  # times the size in training
OVERLAP = 4  # of tiles, diameters of a cell; longer cells are looked for again in windows of their own


@dataclass(frozen=True)
class TrainedOn:
    """The images that the network saw in training.

    ``size``: the largest shorter and the largest longer side of the inputs, pixels.
    ``scale``: the least and the most pixels of an input per pixel of its file; random changes by RandomWarp
    and Albumentations do not count, those by RandomResize do. Where RescaleToPixelSize made the pixels alike,
    these count as the pixels of the file.
    ``pixel_size``: (y, x) in micrometres, of RescaleToPixelSize; None: the pipeline has no such step.
    ``diameter``: the median of the cells, pixels of the input; None: not known.
    """

    size: tuple[int, int]
    scale: tuple[float, float]
    pixel_size: tuple[float, float] | None = None
    diameter: float | None = None

    @classmethod
    def from_meta(cls, meta: dict, name: object) -> "TrainedOn | None":
        """Read ``meta.trained_on`` of the checkpoint ``name``; None if it is of an earlier version.

        Raises:
            CellMMError: it does not have the form that training writes.
        """
        if meta.get("trained_on") is None:
            return None
        try:
            stated = meta["trained_on"]
            (short, long), (least, most) = stated["size"], stated["scale"]
            pixel, diameter = stated.get("pixel_size"), stated.get("diameter")
            found = cls(
                (int(short), int(long)),
                (float(least), float(most)),
                None if pixel is None else (float(pixel[0]), float(pixel[1])),
                None if diameter is None else float(diameter),
            )
        except (TypeError, ValueError, KeyError, IndexError, OverflowError) as error:
            raise CellMMError(f"{name}: its meta.trained_on is damaged; use an earlier checkpoint") from error
        lengths = [*(found.pixel_size or ()), *([] if found.diameter is None else [found.diameter])]
        right = 0 < found.size[0] <= found.size[1] and 0 < found.scale[0] <= found.scale[1] < np.inf
        if not right or not all(0 < length < np.inf for length in lengths):
            raise CellMMError(f"{name}: its meta.trained_on is damaged; use an earlier checkpoint")
        return found

    def to_meta(self) -> dict:
        """As plain numbers and lists, for ``meta.trained_on``."""
        meta: dict = dict(size=list(self.size), scale=list(self.scale))
        if self.pixel_size is not None:
            meta["pixel_size"] = list(self.pixel_size)
        if self.diameter is not None:
            meta["diameter"] = self.diameter
        return meta

    def is_exceeded_by(self, shape: Sequence[int]) -> bool:
        """Whether an input of ``shape`` (h, w) is clearly larger, by half or more, than those of training."""
        return any(side >= LARGER * own for side, own in zip(sorted(shape), self.size, strict=True))

    def check_scale(self, sample: CellSample, shape: Sequence[int]) -> None:
        """Raise CellMMError if cells reach the network in another scale than in training.

        ``shape``: (h, w) of the input.
        """
        own_size = sample.get("model_pixel_size")
        if self.pixel_size is not None and (
            own_size is None or not np.allclose(own_size, self.pixel_size, rtol=SLACK)
        ):
            y, x = self.pixel_size
            raise CellMMError(
                f"{sample.get('img_path')}: the network was trained on pixels of {y:g} x {x:g} micrometres; "
                f"add dict(type='RescaleToPixelSize', pixel_size=({y:g}, {x:g})) to the pipeline"
            )
        scales = scales_of(sample)
        least, most = min(scales), max(scales)
        slack = SLACK + 1 / min(shape)  # sizes are whole pixels
        if least < self.scale[0] * (1 - slack) or most > self.scale[1] * (1 + slack):
            own = f"{self.scale[0]:.3g}"
            if self.scale[1] > self.scale[0] * (1 + SLACK):
                own += f" to {self.scale[1]:.3g}"
            raise CellMMError(
                f"{sample.get('img_path')}: the pipeline scales its cells by "
                f"{least if least < self.scale[0] else most:.3g}, in training it was {own}; replace Resize "
                f"or ResizeTo by dict(type='Rescale', factor={self.scale[1]:.3g}), or crop the image"
            )

    def tile_for(self, model: nn.Module) -> tuple[int, int]:
        """The tile of ``model``, pixels a side, and what tiles share.

        The tile is the shorter side of training, unless the network needs larger tiles. If the model
        ``is_local``, it is as large as 1 GiB of maps allows, since less is computed twice then. Tiles share a
        quarter, or OVERLAP diameters of the cells where the model scales images by these.
        """
        step, margin = model.tile_step, model.margin
        tile = max(self.size[0], 4 * margin, 2 * step)
        if is_local(model) and bytes_per_pixel(model) * (max(tile, LEAST) + step) ** 2 <= TILE_BYTES:
            tile = choose_tile(model, TILE_BYTES)
        overlap = tile // 4
        if (finder := getattr(model, "cell_size", None)) is not None:
            overlap = min(overlap, math.ceil(OVERLAP * finder.diameter))
        return tile, max(overlap, 2 * margin)


def scales_of(sample: CellSample) -> tuple[float, float]:
    """Pixels of the network input per pixel of the file, along x and along y.

    Where RescaleToPixelSize made the pixels of all files alike, these count as the pixels of the file.
    """
    matrix = np.asarray(sample.get("to_original", np.eye(3)), dtype=np.float64)[:2, :2]
    lengths = np.hypot(*matrix)
    if (model := sample.get("model_pixel_size")) is not None:
        lengths = lengths * np.array(sample.pixel_size)[::-1] / np.array(model)[::-1]
    return tuple(float(1 / length) for length in lengths)
