"""Stained scenes of cells of several types, as colour images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from cellmm.errors import CellMMError
from cellmm.simulation import optics
from cellmm.simulation.scene import SceneConfig, canvas_of, cells_in_image, place_cell, windows_of
from cellmm.simulation.shapes import CellShape, make_cell
from cellmm.structures import LabelLayers

BLUR = 0.3  # um, of the objective
SPREAD = 0.12  # of the stain from cell to cell


@dataclass(frozen=True, kw_only=True)
class CellType:
    """How the cells of a type look. Lengths in um, pairs are ranges.

    ``stain``, ``nucleus``: what the cell and its nucleus absorb of red, green and blue, as optical densities
    (natural logarithm); ``grains``: how much its granules absorb of each.
    """

    name: str
    width: tuple[float, float]
    elongation: tuple[float, float]
    bend: float
    roughness: float
    stain: tuple[float, float, float]
    nucleus: tuple[float, float, float]
    grains: float = 0.0


CELL_TYPES = (
    CellType(
        name="round",
        width=(8.0, 11.0),
        elongation=(1.0, 1.15),
        bend=0.2,
        roughness=0.04,
        stain=(0.35, 0.5, 0.15),
        nucleus=(0.8, 0.8, 0.3),
    ),
    CellType(
        name="elongated",
        width=(6.0, 8.5),
        elongation=(3.0, 5.5),
        bend=1.2,
        roughness=0.04,
        stain=(0.15, 0.4, 0.6),
        nucleus=(0.5, 0.6, 0.5),
    ),
    CellType(
        name="textured",
        width=(11.0, 15.0),
        elongation=(1.0, 1.5),
        bend=0.4,
        roughness=0.14,
        stain=(0.08, 0.45, 0.25),
        nucleus=(0.4, 0.5, 0.2),
        grains=1.6,
    ),
    CellType(
        name="large",
        width=(19.0, 27.0),
        elongation=(1.0, 1.6),
        bend=0.5,
        roughness=0.1,
        stain=(0.35, 0.18, 0.08),
        nucleus=(0.6, 0.5, 0.2),
    ),
)


@dataclass(frozen=True)
class StainedScene:
    """A simulated field of view in colour.

    ``image``: RGB uint8 (H, W, 3); ``cells``: N cells, which overlap only where their types differ;
    ``labels``: the type of each from 0, int64 (N,).
    """

    image: np.ndarray
    cells: LabelLayers
    labels: np.ndarray


def simulate_stained_scene(
    config: SceneConfig,
    rng: np.random.Generator,
    *,
    types: Sequence[CellType] = CELL_TYPES,
    absent: float = 0.2,
    empty: float = 0.05,
) -> StainedScene:
    """Place cells of several types, as many of each in the mean, and take their image in transmitted light.

    Cells of a type may touch and never overlap, because a label image of the type could not hold that; those
    of different types overlap up to ``config.max_overlap``. Of ``config``, shapes and sizes of cells, defocus
    and refraction are not used: they are those of the types.

    Args:
        types: the classes, label 0 first.
        absent: share of images from which a type is absent.
        empty: share of images without a cell.

    Raises:
        CellMMError: the cells do not fit in.

    Examples:
        >>> config = SceneConfig(size=(64, 96), pixel=0.5, cells=(4, 6), min_visible=20)
        >>> scene = simulate_stained_scene(config, np.random.default_rng(1), absent=0, empty=0)
        >>> scene.image.shape, scene.image.dtype, 4 <= len(scene.cells) == len(scene.labels) <= 6
        ((64, 96, 3), dtype('uint8'), True)
    """
    none = rng.random() < empty
    present = np.flatnonzero(rng.random(len(types)) >= absent)
    if none or not len(present):
        shapes, labels = [], []
    else:
        shapes, labels = _place(config, rng, types, present)
    image = _image(shapes, labels, types, config, rng)
    return StainedScene(image, cells_in_image(shapes, config), np.array(labels, np.int64))


def _place(
    config: SceneConfig, rng: np.random.Generator, types: Sequence[CellType], present: np.ndarray
) -> tuple[list[CellShape], list[int]]:
    canvas, frame = canvas_of(config)
    number = int(rng.integers(config.cells[0], config.cells[1] + 1))
    covered = np.zeros(canvas, np.int16)
    of_type = np.zeros((len(types), *canvas), bool)
    placed: list[CellShape] = []
    labels: list[int] = []
    centres: list[tuple[float, float]] = []
    for _ in range(60 * number):
        if len(placed) == number:
            break
        label = int(present[rng.integers(len(present))])
        kind = types[label]
        width = rng.uniform(*kind.width)
        centre = tuple(rng.uniform(0, n) for n in canvas)
        if centres and rng.random() < config.neighbour_share:
            y, x = centres[rng.integers(len(centres))]
            angle, far = rng.uniform(0, 2 * np.pi), rng.uniform(0.8, 1.2) * width / config.pixel
            centre = (y + far * np.sin(angle), x + far * np.cos(angle))
        cell = make_cell(
            rng,
            centre=centre,
            length=width * rng.uniform(*kind.elongation),
            width=width,
            bend=rng.uniform(-1, 1) * kind.bend,
            height=1.0,
            roughness=kind.roughness,
            pixel=config.pixel,
        )
        window, own = windows_of(cell, canvas)
        if of_type[label][window][cell.mask[own]].any():
            continue
        if place_cell(cell, placed, covered, frame, config):
            of_type[label][window] |= cell.mask[own]
            placed.append(cell)
            labels.append(label)
            centres.append(centre)
    if len(placed) < config.cells[0]:
        raise CellMMError(
            f"scene: {len(placed)} cells found room, cells={config.cells} are asked for; ask for fewer, or "
            "raise size or max_overlap"
        )
    return placed, labels


def _image(
    shapes: Sequence[CellShape],
    labels: Sequence[int],
    types: Sequence[CellType],
    config: SceneConfig,
    rng: np.random.Generator,
) -> np.ndarray:
    """Absorption of all cells on a pixel adds up (Lambert and Beer)."""
    canvas, frame = canvas_of(config)
    density = np.zeros((*canvas, 3), np.float32)
    for cell, label in zip(shapes, labels, strict=True):
        kind = types[label]
        window, own = windows_of(cell, canvas)
        strength = rng.normal(1, SPREAD, 3).clip(0.6, 1.4)
        amount = 0.4 * cell.mask + 0.6 * cell.height + kind.grains * np.clip(cell.grains, 0, None)
        stained = amount[..., None] * (np.array(kind.stain) * strength)
        stained += cell.nucleus[..., None] * np.array(kind.nucleus) * strength
        density[window] += stained[own].astype(np.float32)
    light = ndimage.gaussian_filter(np.exp(-density), (BLUR / config.pixel, BLUR / config.pixel, 0))[frame]
    lamp = optics.illumination(rng, config.size, config.uneven_light / 2)
    lamp *= optics.dust(rng, config.size, int(rng.integers(config.dust + 1)), config.pixel)
    light = 0.85 * lamp[..., None] * light * np.array([0.99, 0.97, 0.98], np.float32)
    counts = optics.camera(rng, light, photons=config.photons, read_noise=config.read_noise, bits=16)
    return np.clip(255 * (counts - 100.0) / config.photons, 0, 255).round().astype(np.uint8)
