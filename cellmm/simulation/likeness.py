"""What a set of annotated images is like, in numbers from which scenes like them are simulated."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cellmm.errors import CellMMError

BLOCK = 12  # px a side of the grid of the background
LOW = 5  # percentile of the levels below a cell that has to be among those of real cells
REACH = 8  # px beyond the outline of a cell that it still changes the image


@dataclass(frozen=True)
class CellLook:
    """One cell, in units of the diameter of its image's median cell.

    Args:
        length: along the axis; ``width``: the largest across it; ``area``: in diameters squared.
        turn: mean curvature times length, rad.
        extent: largest diameter over length.
        roughness: see ``shapes.make_cell``.
        weight: how often it is drawn. The edge of an image cuts large cells more often, and those that it
            does not cut stand for them (Miles, 1974).
    """

    length: float
    width: float
    area: float
    turn: float
    extent: float
    roughness: float
    weight: float = 1.0


@dataclass(frozen=True)
class ChannelLook:
    """How a channel of an image looks.

    Args:
        level: float (h, w), the background at a coarse grid over the image, grey values.
        background: the median level below cells.
        absorbs: cells take a share of the background, as in transmitted light; contrast and noise are then in
            units of the background, else in grey values.
        profile: contrast of the pixels at -REACH + 0.5, ... px from the outline, negative outside.
        gains: the contrast of cells over that of the median cell, at equal steps of probability.
        noise, texture: standard deviations of background and cells at ``grain.SCALES``.
    """

    level: Sequence[Sequence[float]]
    background: float
    absorbs: bool
    profile: Sequence[float]
    gains: Sequence[float]
    noise: Sequence[float]
    texture: Sequence[float]

    @property
    def contrast(self) -> float:
        """Of the middle of cells, grey values at ``background``."""
        return float(np.mean(self.profile[REACH + 2 :] or self.profile[REACH:])) * self._unit

    @property
    def rim(self) -> float:
        """Of the 2 px inside of the outline over that of the middle of cells, grey values."""
        return float(np.mean(self.profile[REACH : REACH + 2])) * self._unit - self.contrast

    @property
    def edge(self) -> float:
        """Width of the edge of cells in px: the step there over its steepest slope."""
        near = np.array(self.profile[REACH - 5 : REACH + 5])
        steepest = np.abs(np.diff(near)).max(initial=0)
        return float(np.ptp(near) / steepest) if steepest else 0.0

    @property
    def noise_deviation(self) -> float:
        """Of the background, grey values at ``background``."""
        return float(np.linalg.norm(self.noise)) * self._unit

    @property
    def texture_deviation(self) -> float:
        """Of the inside of cells, grey values at ``background``."""
        return float(np.linalg.norm(self.texture)) * self._unit

    @property
    def _unit(self) -> float:
        return self.background if self.absorbs else 1.0


@dataclass(frozen=True)
class ImageLook:
    """One image.

    Args:
        shape: (H, W) px.
        diameter: of a circle as large as its median whole cell, px.
        cells: how many there are, and of them ``overlapping`` others, and ``touching``: nearer than 3 px to
            another without overlap.
        covered: share of the pixels that belong to a cell.
        channels: of the image.
        shapes: of the cells that are whole.
        levels: the lowest and highest level of the first channel below which cells may lie, grey values.
    """

    name: str
    shape: tuple[int, int]
    diameter: float
    cells: int
    overlapping: int
    touching: int
    covered: float
    channels: Sequence[ChannelLook]
    shapes: Sequence[CellLook]
    levels: tuple[float, float]


@dataclass(frozen=True)
class Likeness:
    """A set of images.

    Args:
        dtype: as stored, such as 'uint16'; ``bits``: that are used, 0 for floats.
        color: 'rgb', 'grey' (stored as RGB), or 'channels'.
        overlaps: of each pair of overlapping cells, the share of the smaller one that they share.
    """

    dtype: str
    bits: int
    color: str
    images: Sequence[ImageLook]
    overlaps: Sequence[float] = ()

    @classmethod
    def from_json(cls, content: Mapping, source: str | Path) -> "Likeness":
        """CellMMError where ``content``, of the file ``source``, is not that of a likeness."""
        try:
            images = [
                ImageLook(
                    **image
                    | dict(
                        channels=[ChannelLook(**channel) for channel in image["channels"]],
                        shapes=[CellLook(**cell) for cell in image["shapes"]],
                    )
                )
                for image in content["images"]
            ]
            if not any(image.shapes for image in images) or not all(image.channels for image in images):
                raise ValueError("no image, no shape, or an image without channels")
            np.dtype(content["dtype"])
            return cls(**content | dict(images=images))
        except (TypeError, KeyError, ValueError) as error:
            raise CellMMError(
                f"{source}: not what `cellmm simulate --like` wrote ({error}); for a COCO json add the "
                "folder of its images"
            ) from error
