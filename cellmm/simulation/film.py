"""Films of cells that move, cross and divide, with the true identity of each cell."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import ndimage

from cellmm.checks import check_share, check_whole
from cellmm.errors import CellMMError
from cellmm.simulation.scene import SceneConfig, canvas_of, place_cells, windows_of
from cellmm.simulation.shapes import CellShape
from cellmm.structures import MaskRuns

ELONGATED = 2.0  # length over width from which a cell moves along its axis


@dataclass(frozen=True, kw_only=True)
class FilmConfig:
    """How the cells of a scene move.

    Args:
        scene: the cells of the first frame and how they are seen.
        frames: number of frames.
        speed: range, um per frame. A cell keeps its speed.
        turning: standard deviation of the change of direction from frame to frame, rad.
        division_share: share of the cells of the first frame that divide during the film, once.
        growth: by which a daughter's length grows per frame until it has its mother's size, share.
    """

    scene: SceneConfig = field(default_factory=SceneConfig)
    frames: int = 40
    speed: tuple[float, float] = (1.5, 4.0)
    turning: float = 0.06
    division_share: float = 0.1
    growth: float = 0.015

    def __post_init__(self) -> None:
        check_whole(1, frames=self.frames)
        check_share(division_share=self.division_share)
        if not 0 <= self.speed[0] <= self.speed[1]:
            raise CellMMError(f"film.speed is a range from 0, lowest first, got {self.speed!r}")


@dataclass(frozen=True)
class FilmFrame:
    """One frame.

    Args:
        shapes: all cells on the canvas; :func:`cellmm.simulation.scene.take_images` makes the images.
        masks: the N cells that are seen in the image, whole where they lie under others.
        ids: int64 (N,), the identity of each, from 1 in the order of appearance. A cell that leaves the image
            and comes back is a new one, and so are the daughters of a division.
    """

    shapes: tuple[CellShape, ...]
    masks: MaskRuns
    ids: np.ndarray


@dataclass(frozen=True)
class Film:
    """The frames in order, and the mother of each daughter, {id: id}."""

    frames: tuple[FilmFrame, ...]
    parents: dict[int, int]


@dataclass
class _Cell:
    shape: CellShape
    place: np.ndarray  # (y, x) in the image, px
    heading: float  # rad, from x towards y
    speed: float  # px per frame
    divides: int  # frame; -1: never
    angle: float = 0.0  # by which the shape is turned
    scale: float = 1.0
    parent: int = 0
    id: int = 0  # 0: not in the image


def simulate_film(config: FilmConfig, rng: np.random.Generator) -> Film:
    """Move the cells of a scene. The same generator state gives the same film.

    Cells pass over and under each other freely. Long cells move along their axis. A cell that has left the
    image on one side comes in on the other side.

    Raises:
        CellMMError: the scene is too crowded for its cells.

    Examples:
        >>> scene = SceneConfig(size=(96, 96), pixel=0.5, cells=(4, 4), min_visible=20)
        >>> film = simulate_film(FilmConfig(scene=scene, frames=3), np.random.default_rng(0))
        >>> len(film.frames), film.frames[0].masks.shape
        (3, (96, 96))
    """
    scene = config.scene
    _, window = canvas_of(scene)
    margin = window[0].start
    shapes = place_cells(scene, rng)
    reach = max(np.hypot(*shape.mask.shape) for shape in shapes) / 2
    cells = [_start(shape, config, margin, rng) for shape in shapes]
    frames: list[FilmFrame] = []
    parents: dict[int, int] = {}
    last_id = 0
    for t in range(config.frames):
        if t:
            cells = [daughter for cell in cells for daughter in _step(cell, t, config, rng)]
            _wrap(cells, scene.size, reach)
        drawn = [moved(cell.shape, cell.place + margin, cell.angle, cell.scale) for cell in cells]
        crops, origins, ids = [], [], []
        for cell, shape in zip(cells, drawn, strict=True):
            inside, own = windows_of(replace(shape, origin=_without(shape.origin, margin)), scene.size)
            crop = shape.mask[own]
            if crop.sum() < scene.min_visible:
                cell.id = 0
                continue
            if not cell.id:
                cell.id = last_id = last_id + 1
                if cell.parent:
                    parents[cell.id] = cell.parent
            cell.parent = 0
            crops.append(crop)
            origins.append((inside[0].start, inside[1].start))
            ids.append(cell.id)
        masks = MaskRuns.from_crops(crops, origins, scene.size)
        frames.append(FilmFrame(tuple(drawn), masks, np.array(ids, dtype=np.int64)))
    return Film(tuple(frames), parents)


def moved(shape: CellShape, centre: Sequence[float], angle: float, scale: float = 1.0) -> CellShape:
    """The cell with its centre of mass at ``centre`` (y, x) of the canvas, turned and scaled about it.

    Args:
        angle: rad, from x towards y.
    """
    side = int(np.ceil(np.hypot(*shape.mask.shape) * scale)) + 2
    origin = np.floor(np.asarray(centre) - side / 2).astype(int)
    cos, sin = np.cos(angle), np.sin(angle)
    back = np.array([[cos, -sin], [sin, cos]]) / scale  # from (y, x) of the new grid to the old
    offset = np.array(ndimage.center_of_mass(shape.mask)) - back @ (np.asarray(centre) - origin)

    def warped(values: np.ndarray) -> np.ndarray:
        return ndimage.affine_transform(values.astype(np.float32), back, offset, (side, side), order=1)

    mask = warped(shape.mask) > 0.5
    return CellShape(
        origin=(int(origin[0]), int(origin[1])),
        mask=mask,
        nucleus=(warped(shape.nucleus) > 0.5) & mask,
        height=warped(shape.height) * mask,
        grains=warped(shape.grains) * mask,
    )


def _axis(mask: np.ndarray) -> tuple[float, float, float]:
    """Of the ellipse with its moments: direction of the long axis (rad), length over width, length (px)."""
    y, x = np.nonzero(mask)
    values, vectors = np.linalg.eigh(np.cov(np.stack([y, x])) + np.eye(2) / 12)
    return (
        float(np.arctan2(*vectors[:, 1])),
        float(np.sqrt(values[1] / values[0])),
        4 * float(values[1] ** 0.5),
    )


def _start(shape: CellShape, config: FilmConfig, margin: int, rng: np.random.Generator) -> _Cell:
    axis, elongation, _ = _axis(shape.mask)
    heading, back, speed = rng.uniform(0, 2 * np.pi), rng.random() < 0.5, rng.uniform(*config.speed)
    divides = int(rng.integers(1, max(config.frames, 2)))
    return _Cell(
        shape=shape,
        place=np.add(shape.origin, ndimage.center_of_mass(shape.mask)) - margin,
        heading=axis + np.pi * back if elongation >= ELONGATED else heading,
        speed=speed / config.scene.pixel,
        divides=divides if rng.random() < config.division_share else -1,
    )


def _step(cell: _Cell, t: int, config: FilmConfig, rng: np.random.Generator) -> list[_Cell]:
    """The cell in frame ``t``, or its two daughters."""
    turn = rng.normal(0, config.turning)
    cell.heading, cell.angle = cell.heading + turn, cell.angle + turn
    cell.place = cell.place + cell.speed * np.array([np.sin(cell.heading), np.cos(cell.heading)])
    cell.scale = min(cell.scale + config.growth, 1.0)
    if cell.divides != t:
        return [cell]
    axis, _, length = _axis(cell.shape.mask)
    along = axis + cell.angle
    daughters = []
    for heading in (along, along + np.pi):
        place = cell.place + 0.25 * length * np.array([np.sin(heading), np.cos(heading)])
        half = replace(cell, place=place, heading=heading, scale=0.5**0.5, divides=-1, parent=cell.id, id=0)
        daughters.append(half)
    return daughters


def _wrap(cells: Sequence[_Cell], size: tuple[int, int], reach: float) -> None:
    """Put cells that left the image by more than ``reach`` on the other side."""
    for cell in cells:
        cell.place = (cell.place + reach) % (np.array(size) + 2 * reach) - reach


def _without(origin: tuple[int, int], margin: int) -> tuple[int, int]:
    return origin[0] - margin, origin[1] - margin
