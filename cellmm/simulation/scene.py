"""Scenes of overlapping cells and their images."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from scipy import ndimage

from cellmm.errors import CellMMError
from cellmm.simulation import optics
from cellmm.simulation.shapes import CellShape, make_cell
from cellmm.structures import LabelLayers


@dataclass(frozen=True, kw_only=True)
class SceneConfig:
    """What a scene holds and how it is seen. Lengths in um unless said otherwise; pairs are ranges."""

    size: tuple[int, int] = (1024, 1024)  # image (h, w), px
    pixel: float = 0.2  # um per pixel: 63x onto a camera pixel of 13 um
    margin: float = 8.0  # around the image, where cells and light go on
    cells: tuple[int, int] = (25, 45)  # cells placed in an image
    width: tuple[float, float] = (13.0, 26.0)
    elongation: tuple[float, float] = (1.0, 2.2)  # length over width of ordinary cells
    worm_share: float = 0.15  # share of long thin cells
    worm_elongation: tuple[float, float] = (3.5, 7.0)
    worm_width: tuple[float, float] = (7.0, 11.0)
    bend: float = 1.6  # the most that an axis turns, rad
    height: tuple[float, float] = (3.0, 6.0)
    roughness: float = 0.10  # of the outline, share of the half width
    neighbour_share: float = 0.12  # share of cells that are put beside another, where they may overlap
    max_overlap: float = 0.35  # no cell may have more than this share under or over others
    min_visible: int = 60  # cells with fewer pixels in the image are not placed, px
    index_step: float = 0.022  # refractive index of cells over that of the medium
    absorption: float = 0.012  # 1/um
    wavelength: float = 0.55
    aperture: float = 0.7
    coherence: float = 0.06
    defocus: tuple[float, float] = (-5.0, 5.0)  # the two brightfield planes, below and above focus
    uneven_light: float = 0.12
    dust: int = 5  # specks, at most
    photons: float = 2500.0  # of a bright pixel
    read_noise: float = 12.0  # photons
    bits: int = 12

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            pair = isinstance(item.default, tuple)
            if pair and (not isinstance(value, list | tuple) or len(value) != 2):
                raise CellMMError(f"scene.{item.name} is a pair of numbers, got {value!r}")
            if pair and item.name not in ("size", "defocus") and value[0] > value[1]:
                raise CellMMError(f"scene.{item.name} is a range, lowest first, got {value!r}")
        for name in ("pixel", "wavelength", "aperture", "photons"):
            if not getattr(self, name) > 0:
                raise CellMMError(f"scene.{name} must be positive, got {getattr(self, name)!r}")
        for name in ("worm_share", "neighbour_share", "max_overlap"):
            if not 0 <= getattr(self, name) <= 1:
                raise CellMMError(f"scene.{name} is a share between 0 and 1, got {getattr(self, name)!r}")


SCENES = {
    "default": SceneConfig(),
    # a quarter of the sampling, so that a few minutes of training on a CPU see something
    "small": SceneConfig(
        size=(256, 256), pixel=0.5, cells=(8, 16), min_visible=40, dust=3, defocus=(-6.0, 6.0), coherence=0.05
    ),
    # for cells of several types: many side by side
    "stained": SceneConfig(
        size=(256, 256), pixel=0.5, cells=(10, 20), min_visible=40, dust=3, neighbour_share=0.4
    ),
}


@dataclass(frozen=True)
class Scene:
    """A simulated field of view; every image is uint16.

    ``brightfield`` (2, H, W): below and above focus; ``phase`` and ``fluorescence`` (H, W); ``cells`` and
    ``nuclei``: whole cells and their nuclei, instance i of both belongs to the same cell.
    """

    brightfield: np.ndarray
    phase: np.ndarray
    fluorescence: np.ndarray
    cells: LabelLayers
    nuclei: LabelLayers


def simulate_scene(config: SceneConfig, rng: np.random.Generator) -> Scene:
    """Place cells and take their images. The same generator state gives the same scene.

    Light is followed on a canvas that is wider by ``margin`` on each side, so that light that leaves
    the image on one side does not come back on the other. CellMMError if the cells do not fit in.

    Examples:
        >>> config = SceneConfig(size=(64, 64), pixel=0.5, cells=(2, 4), min_visible=20)
        >>> scene = simulate_scene(config, np.random.default_rng(0))
        >>> scene.brightfield.shape, scene.brightfield.dtype, scene.cells.shape
        ((2, 64, 64), dtype('uint16'), (64, 64))
    """
    return take_images(place_cells(config, rng), config, rng)


def take_images(shapes: Sequence[CellShape], config: SceneConfig, rng: np.random.Generator) -> Scene:
    """The images of cells on the canvas of ``config``, and their masks in the image."""
    canvas, frame = canvas_of(config)
    nuclei_light = np.zeros(canvas, np.float32)
    for cell in shapes:
        scene, own = windows_of(cell, canvas)
        nuclei_light[scene] += (cell.nucleus * np.float32(rng.uniform(0.5, 1.0)))[own]

    light = {"wavelength": config.wavelength, "pixel": config.pixel, "aperture": config.aperture}
    field = field_behind(shapes, config)
    planes = [
        optics.brightfield(field, defocus=z, coherence=config.coherence, **light)[frame]
        for z in config.defocus
    ]
    phase = optics.phase_contrast(field, ring=0.06, dimming=0.5, **light)[frame]
    glow = ndimage.gaussian_filter(nuclei_light, 0.4 / config.pixel)[frame] + 0.03

    lamp = optics.illumination(rng, config.size, config.uneven_light)
    lamp *= optics.dust(rng, config.size, int(rng.integers(config.dust + 1)), config.pixel)
    record = {"read_noise": config.read_noise, "bits": config.bits}
    # half the photons for the empty field: fringes may be twice as bright without saturating
    brightfield = [optics.camera(rng, lamp * plane, photons=config.photons / 2, **record) for plane in planes]
    return Scene(
        brightfield=np.stack(brightfield),
        phase=optics.camera(rng, lamp * phase, photons=config.photons / 2, **record),
        fluorescence=optics.camera(rng, glow, photons=config.photons / 3, **record),
        cells=cells_in_image(shapes, config),
        nuclei=_layers(shapes, [cell.nucleus for cell in shapes], canvas, frame),
    )


def field_behind(shapes: Sequence[CellShape], config: SceneConfig) -> np.ndarray:
    """The light just behind cells on the canvas of ``config``, see ``optics.transmitted_field``."""
    canvas, _ = canvas_of(config)
    thickness = np.zeros(canvas, np.float32)
    for cell in shapes:
        scene, own = windows_of(cell, canvas)
        thickness[scene] += (cell.height + cell.grains)[own]
    return optics.transmitted_field(
        thickness, index_step=config.index_step, wavelength=config.wavelength, absorption=config.absorption
    )


def cells_in_image(shapes: Sequence[CellShape], config: SceneConfig) -> LabelLayers:
    """The masks of cells, as far as they are in the image: instance i is ``shapes[i]``."""
    return _layers(shapes, [cell.mask for cell in shapes], *canvas_of(config))


def place_cells(config: SceneConfig, rng: np.random.Generator) -> list[CellShape]:
    """Cells at random places of the canvas, a share of them beside others, none hidden under the rest."""
    canvas, frame = canvas_of(config)
    number = int(rng.integers(config.cells[0], config.cells[1] + 1))
    covered = np.zeros(canvas, np.int16)
    placed: list[CellShape] = []
    centres: list[tuple[float, float]] = []
    for _ in range(30 * number):
        if len(placed) == number:
            break
        worm = rng.random() < config.worm_share
        width = rng.uniform(*(config.worm_width if worm else config.width))
        length = width * rng.uniform(*(config.worm_elongation if worm else config.elongation))
        centre = tuple(rng.uniform(0, n) for n in canvas)
        if centres and rng.random() < config.neighbour_share:
            y, x = centres[rng.integers(len(centres))]
            angle, far = rng.uniform(0, 2 * np.pi), rng.uniform(0.7, 1.1) * width / config.pixel
            centre = (y + far * np.sin(angle), x + far * np.cos(angle))
        cell = make_cell(
            rng,
            centre=centre,
            length=length,
            width=width,
            bend=rng.uniform(-1, 1) * config.bend * (1.0 if worm else 0.4),
            height=rng.uniform(*config.height),
            roughness=config.roughness * (0.4 if worm else 1.0),
            pixel=config.pixel,
        )
        if place_cell(cell, placed, covered, frame, config):
            placed.append(cell)
            centres.append(centre)
    if len(placed) < config.cells[0]:
        raise CellMMError(
            f"scene: {len(placed)} cells found room, cells={config.cells} are asked for; ask for fewer or "
            "smaller ones, or raise size or max_overlap"
        )
    return placed


def place_cell(
    cell: CellShape, placed: list[CellShape], covered: np.ndarray, frame: tuple, config: SceneConfig
) -> bool:
    """Count the cell into ``covered``, unless too little of it is in the image or a cell would get hidden."""
    window, own = windows_of(cell, covered.shape)
    mask = cell.mask[own]
    if not mask.any() or (covered[window][mask] > 0).mean() > config.max_overlap:
        return False
    visible = np.zeros(covered.shape, bool)
    visible[window] = mask
    if visible[frame].sum() < config.min_visible:
        return False
    covered[window] += mask
    for other in placed:
        where, part = windows_of(other, covered.shape)
        apart = any(a.stop <= b.start or b.stop <= a.start for a, b in zip(window, where, strict=True))
        if not apart and (covered[where][other.mask[part]] > 1).mean() > config.max_overlap:
            covered[window] -= mask
            return False
    return True


def canvas_of(config: SceneConfig) -> tuple[tuple[int, int], tuple[slice, slice]]:
    """Size of the canvas, and the image's place on it."""
    margin = round(config.margin / config.pixel)
    frame = tuple(slice(margin, margin + n) for n in config.size)
    return tuple(n + 2 * margin for n in config.size), frame


def windows_of(cell: CellShape, shape: tuple[int, int]) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """The part of the canvas that the cell's grid covers, and the part of the grid on the canvas."""
    limits = list(zip(cell.origin, cell.mask.shape, shape, strict=True))
    low = [min(max(origin, 0), limit) for origin, _, limit in limits]
    high = [max(min(origin + n, limit), a) for (origin, n, limit), a in zip(limits, low, strict=True)]
    window = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    own = tuple(slice(a - o, b - o) for a, b, o in zip(low, high, cell.origin, strict=True))
    return window, own


def _layers(shapes: Sequence[CellShape], masks: list[np.ndarray], canvas: tuple, frame: tuple) -> LabelLayers:
    full = np.zeros((len(shapes), *canvas), bool)
    for target, cell, mask in zip(full, shapes, masks, strict=True):
        window, own = windows_of(cell, canvas)
        target[window] = mask[own]
    inside = full[:, frame[0], frame[1]]
    return LabelLayers.from_masks(inside, inside.shape[1:])
