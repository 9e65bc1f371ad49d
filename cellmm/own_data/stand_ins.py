"""Simulated folders of annotated images as other programs leave them, to try `cellmm init` on."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import tifffile

from cellmm.errors import CellMMError
from cellmm.io.files import atomic_folder
from cellmm.results.instances import Instances
from cellmm.results.writers import GeoJSONWriter, RoiWriter
from cellmm.simulation import (
    SCENES,
    FilmConfig,
    Scene,
    SceneConfig,
    simulate_film,
    simulate_scene,
    simulate_stained_scene,
    take_images,
)
from cellmm.simulation.class_folders import write_class_folder
from cellmm.structures import LabelLayers, MaskRuns, outlines_of

PIXEL = 0.5  # um
SMALLEST = 64  # px


def fiji(folder: Path, scenes: Iterator[Scene]) -> None:
    """16-bit phase contrast, and a zip of Fiji ROIs with the name of each image in a folder of its own."""
    for number, scene in enumerate(scenes, 1):
        save_tiff(folder / "phase" / f"dish_{number:02d}.tif", scene.phase)
        rois = folder / "rois" / f"dish_{number:02d}.zip"
        RoiWriter().write(rois, Instances.of_layers(scene.cells), None)


def qupath(folder: Path, scenes: Iterator[Scene]) -> None:
    """Stained sections in RGB, and QuPath's GeoJSON beside each."""
    for number, scene in enumerate(scenes, 1):
        path = folder / f"section {number}.png"
        save_rgb(path, scene)
        GeoJSONWriter("annotation").write(
            path.with_suffix(".geojson"), Instances.of_layers(scene.cells), None
        )


def aperio(folder: Path, scenes: Iterator[Scene]) -> None:
    """The same in RGB TIFFs, and the XML of Aperio ImageScope in a folder of its own."""
    for number, scene in enumerate(scenes, 1):
        save_rgb(folder / "images" / f"case-{number}.tif", scene)
        root = ElementTree.Element("Annotations", MicronsPerPixel=str(PIXEL))
        layer = ElementTree.SubElement(ElementTree.SubElement(root, "Annotation", Id="1"), "Regions")
        masks = runs_of(scene.cells)
        for cell in range(len(masks)):
            for outline in (part[0] for part in outlines_of(masks, cell)):
                region = ElementTree.SubElement(layer, "Region", Id=str(cell + 1), Type="0", NegativeROA="0")
                corners = ElementTree.SubElement(region, "Vertices")
                for x, y in outline:
                    ElementTree.SubElement(corners, "Vertex", X=str(x), Y=str(y), Z="0")
        path = folder / "xml" / f"case-{number}.xml"
        path.parent.mkdir(parents=True, exist_ok=True)
        ElementTree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def worms(folder: Path, scenes: Iterator[Scene]) -> None:
    """The layout of BBBC010: two channels in files of their own, a mask per worm."""
    for number, scene in enumerate(scenes, 1):
        well = f"A{number:02d}"
        name = f"1649_1109_0003_Amp5-1_B_20070424_{well}_{{}}_9E84F49F-1B25-4E7E-8040-D1BB2D7E73EA.tif"
        save_tiff(folder / "images" / name.format("w1"), scene.fluorescence)
        save_tiff(folder / "images" / name.format("w2"), scene.brightfield[0])
        for cell, mask in enumerate(scene.cells.to_masks(), 1):
            save_png(folder / "masks" / f"{well}_{cell:02d}_ground_truth.png", mask * np.uint8(255))


def film(folder: Path, frames: int, size: int, seed: int) -> None:
    """A time series in phase contrast, and a stack of label images: cells on top cut those below."""
    scene = scene_of(size, worm_share=0.0)
    rng = np.random.default_rng(seed)
    made = simulate_film(FilmConfig(scene=scene, frames=frames), rng).frames
    images = np.stack([take_images(frame.shapes, scene, rng).phase for frame in made])
    labels = np.zeros(images.shape, np.uint16)
    for label, frame in zip(labels, made, strict=True):
        for cell, number in enumerate(frame.ids):
            mask, (top, left) = frame.masks.crop(cell)
            label[top : top + mask.shape[0], left : left + mask.shape[1]][mask] = number
    for name, stack in (("film.tif", images), ("film_labels.tif", labels)):
        tifffile.imwrite(folder / name, stack, imagej=True, metadata={"axes": "TYX"})


def classes(folder: Path, images: int, size: int, seed: int) -> None:
    """Stained cells of four types in RGB: a folder per image, a label image per type."""
    scene = replace(SCENES["stained"], size=(size, size), cells=_numbers(size, SCENES["stained"].cells[0]))
    for number in range(images):
        rng = np.random.default_rng([seed, number])
        found = simulate_stained_scene(scene, rng, empty=0.0)  # each image has an annotation
        write_class_folder(folder / f"{number + 1:04d}", found)


# how each kind is made of scenes; films and classes are made otherwise
OF_SCENES: dict[str, Callable[[Path, Iterator[Scene]], None]] = dict(
    fiji=fiji, qupath=qupath, aperio=aperio, worms=worms
)
ALONE: dict[str, Callable[[Path, int, int, int], None]] = dict(film=film, classes=classes)
KINDS = (*OF_SCENES, *ALONE)


def simulate_folder(out: str | Path, kind: str, *, images: int = 8, size: int = 256, seed: int = 0) -> None:
    """Make a new folder ``out``, all of it or nothing.

    Args:
        kind: of KINDS.
        images: how many, at least 1, or the frames of a film.
        size: of the images, pixels per side, at least 64.
        seed: of the scenes; the same seed gives the same files.

    Raises:
        CellMMError: ``out`` exists, the kind is unknown, or a number is too small.
    """
    if kind not in KINDS:
        raise CellMMError(f"--kind {kind}: choose from {', '.join(KINDS)}")
    if images < 1:
        raise CellMMError(f"--images {images}: give 1 or more")
    if size < SMALLEST:
        raise CellMMError(f"--size {size}: give {SMALLEST} or more, so that cells have room")
    out = Path(out)
    if out.exists():
        raise CellMMError(f"{out} exists: name a new folder")
    scene = scene_of(size, worm_share=1.0 if kind == "worms" else 0.15)
    scenes = (simulate_scene(scene, np.random.default_rng([seed, number])) for number in range(images))
    with atomic_folder(out) as folder:
        if kind in ALONE:
            ALONE[kind](folder, images, size, seed)
        else:
            OF_SCENES[kind](folder, scenes)


def scene_of(size: int, worm_share: float) -> SceneConfig:
    """Cells as dense as in the scenes of the quick start."""
    return SceneConfig(
        size=(size, size),
        pixel=PIXEL,
        cells=_numbers(size, 8),
        min_visible=40,
        dust=3,
        worm_share=worm_share,
    )


def _numbers(size: int, least: int) -> tuple[int, int]:
    """The range of cells in an image, from the least in one of 256 pixels per side."""
    least = max(2, round(least * (size / 256) ** 2))
    return least, 2 * least


def runs_of(cells: LabelLayers) -> MaskRuns:
    return MaskRuns.from_rles(cells.to_rles(), cells.shape)


def save_rgb(path: Path, scene: Scene) -> None:
    """Cells in pink with violet nuclei on white, uint8."""
    cytoplasm = (scene.cells.count() > 0)[..., None] * np.array([30.0, 90.0, 40.0])
    nuclei = (scene.nuclei.count() > 0)[..., None] * np.array([110.0, 80.0, 20.0])
    light = 235.0 * scene.phase[..., None] / np.percentile(scene.phase, 99)
    rgb = np.clip(cv2.GaussianBlur(light - cytoplasm - nuclei, (0, 0), 0.7), 0, 255).astype(np.uint8)
    if path.suffix == ".tif":
        save_tiff(path, rgb, photometric="rgb")
    else:
        save_png(path, rgb[..., ::-1])


def save_tiff(path: Path, image: np.ndarray, **fields: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, image, **fields)


def save_png(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", image)[1].tobytes())
