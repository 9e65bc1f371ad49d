"""Which images a model was trained on, according to its checkpoint, and what that means for others."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import nn

from cellmm.errors import CellMMError
from cellmm.structures import CellSample

SLACK = 0.05  # of a scale
LARGER = 1.5  # times the size in training


@dataclass(frozen=True)
class TrainedOn:
    """The images that the network saw in training.

    ``size``: the largest shorter and the largest longer side of the inputs, pixels.
    ``scale``: the least and the most pixels of an input per pixel of its file; random changes by RandomWarp
    and Albumentations do not count, those by RandomResize do.
    """

    size: tuple[int, int]
    scale: tuple[float, float]

    @classmethod
    def from_meta(cls, meta: dict, name: object) -> "TrainedOn | None":
        """Read ``meta.trained_on`` of the checkpoint ``name``; None if it is of an earlier version.

        Raises:
            CellMMError: it does not have the form that training writes.
        """
        if meta.get("trained_on") is None:
            return None
        try:
            (short, long), (least, most) = meta["trained_on"]["size"], meta["trained_on"]["scale"]
            found = cls((int(short), int(long)), (float(least), float(most)))
        except (TypeError, ValueError, KeyError, OverflowError) as error:
            raise CellMMError(f"{name}: its meta.trained_on is damaged; use an earlier checkpoint") from error
        if not (0 < found.size[0] <= found.size[1] and 0 < found.scale[0] <= found.scale[1] < np.inf):
            raise CellMMError(f"{name}: its meta.trained_on is damaged; use an earlier checkpoint")
        return found

    def to_meta(self) -> dict:
        """As plain lists, for ``meta.trained_on``."""
        return dict(size=list(self.size), scale=list(self.scale))

    def is_exceeded_by(self, shape: Sequence[int]) -> bool:
        """Whether an input of ``shape`` (h, w) is clearly larger, by half or more, than those of training."""
        return any(side >= LARGER * own for side, own in zip(sorted(shape), self.size, strict=True))

    def check_scale(self, sample: CellSample, shape: Sequence[int]) -> None:
        """Raise CellMMError if cells reach the network in another scale than in training.

        ``shape``: (h, w) of the input.
        """
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
        """The tile of ``model``, pixels a side, and what tiles share: the shorter side of training, so that
        every input that exceeds training is larger than a tile, unless the network needs larger tiles.
        """
        step, margin = model.tile_step, model.margin
        tile = max(self.size[0], 4 * margin, 2 * step)
        return tile, max(tile // 4, 2 * margin)


def scales_of(sample: CellSample) -> tuple[float, float]:
    """Pixels of the network input per pixel of the file, along x and along y."""
    matrix = np.asarray(sample.get("to_original", np.eye(3)), dtype=np.float64)[:2, :2]
    return tuple(float(1 / length) for length in np.hypot(*matrix))
