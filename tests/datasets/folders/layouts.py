"""Folders of annotated images as people and programs leave them, from two simulated images."""

import io
import json
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import cv2
import numpy as np
import tifffile

from cellmm.io.layered_tiff import write_layered_tiff
from cellmm.simulation import SceneConfig, simulate_scene
from cellmm.structures import LabelLayers
from tests.io.annotations import programs as p

SIZE = (p.H, p.W)
CONFIG = SceneConfig(size=SIZE, pixel=0.7, cells=(5, 6), min_visible=12, neighbour_share=0.6, roughness=0.0)
NAMES = ("a", "b")


@cache
def scenes() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """{name: (phase image, masks (N, H, W))} of scenes in which cells overlap, each mask of one outline."""
    found = {}
    for seed in range(1000):
        scene = simulate_scene(CONFIG, np.random.default_rng(seed))
        masks = scene.cells.to_masks()
        if masks.sum(0).max() > 1 and all(len(p.rings(mask)) == 1 for mask in masks):
            found[NAMES[len(found)]] = scene.phase, masks
        if len(found) == len(NAMES):
            return found
    raise AssertionError("no scene has cells that overlap")


def truth(name: str) -> np.ndarray:
    return scenes()[name][1]


def label(name: str) -> np.ndarray:
    return p.label_of(truth(name))


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() in (".tif", ".tiff"):
        tifffile.imwrite(path, pixels)
    else:
        assert cv2.imwrite(str(path), pixels)


def write(path: Path, content: str | bytes | dict | list) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content))


def images(root: Path, path: str = "{}.tif", **options: object) -> None:
    """The two images; ``path`` has {} where their names are."""
    for name in NAMES:
        save(root / path.format(name), scenes()[name][0])


def each(root: Path, image: str, path: str, content: Callable[[str], object]) -> None:
    """Images, and a file of annotations for each."""
    images(root, image)
    for name in NAMES:
        value = content(name)
        (save if isinstance(value, np.ndarray) else write)(root / path.format(name), value)


def binary(name: str) -> list[np.ndarray]:
    return [mask.astype(np.uint8) * 255 for mask in truth(name)]


def rois(name: str) -> list:
    return [p.polygon_roi(mask) for mask in truth(name)]


def roi_zip(name: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for number, roi in enumerate(rois(name)):
            archive.writestr(f"{number:04d}-0001.roi", roi.tobytes())
    return file.getvalue()


def geojson(name: str) -> dict:
    return p.collection(*(p.feature(p.closed(mask)) for mask in truth(name)))


def labelme(name: str, image: str = "{}.tif") -> dict:
    return p.labelme(*(p.lm_shape(p.ring(mask)) for mask in truth(name)), imagePath=image.format(name))


def yolo(name: str) -> str:
    return "\n".join(p.yolo_line(0, mask) for mask in truth(name))


def napari(name: str) -> str:
    return p.napari(*(("polygon", p.napari_ring(mask)) for mask in truth(name)))


def coco(names: Sequence[str], file: str = "{}.tif") -> dict:
    found = [dict(id=i, file_name=file.format(name), height=p.H, width=p.W) for i, name in enumerate(names)]
    cells = [
        dict(image_id=i, segmentation=p.coco_rle(mask), area=int(mask.sum()), bbox=[0, 0, 1, 1])
        for i, name in enumerate(names)
        for mask in truth(name)
    ]
    return p.coco(*cells, images=found, categories=[dict(id=1, name="cell")])


def masks(root: Path, image: str, path: str) -> None:
    """A file per cell; ``path`` has {} for the name of the image and of the cell."""
    images(root, image)
    for name in NAMES:
        for number, mask in enumerate(binary(name), start=1):
            save(root / path.format(name, number), mask)


def layered(root: Path, path: str) -> None:
    images(root)
    for name in NAMES:
        write_layered_tiff(root / path.format(name), LabelLayers.from_masks(truth(name)))


def roi_files(root: Path, path: str) -> None:
    images(root)
    for name in NAMES:
        for number, roi in enumerate(rois(name)):
            write(root / path.format(name, number), roi.tobytes())


def film(root: Path, image: dict | None, stack: dict | None) -> None:
    """The two images as frames, and a stack of labels; the options of tifffile for each."""
    for path, frames, options in (
        ("film.tif", [scenes()[name][0] for name in NAMES], image),
        ("film_labels.tif", [label(name) for name in NAMES], stack),
    ):
        tifffile.imwrite(root / path, np.stack(frames), photometric="minisblack", **(options or {}))


def seg_npy(root: Path) -> None:
    images(root)
    for name in NAMES:
        content = dict(masks=label(name), filename=f"/plates/{name}.tif", flows=[], outlines=label(name) * 0)
        np.save(root / f"{name}_seg.npy", content)


def classes(root: Path) -> None:
    for name in NAMES:
        save(root / name / "image.tif", scenes()[name][0])
        for number, layer in enumerate(LabelLayers.from_masks(truth(name)).layers, start=1):
            save(root / name / f"class{number}.tif", layer.astype(np.uint16))


@dataclass(frozen=True)
class Layout:
    """
    Args:
        name: of the row, as in the table of docs/how_to/annotation_folders.md.
        words: what look_at calls it.
        make: writes the folder.
        overlap: the format holds cells that overlap.
        names: of the two images.
    """

    name: str
    words: str
    make: Callable[[Path], object]
    overlap: bool = True
    names: tuple[str, str] = NAMES
    classes: tuple[str, ...] = ("cell",)


LABELS, ZIP = "label image, a file per image", "Fiji ROIs, a file per image"


def of_labels(name: str, image: str, path: str, *, beside: bool = False, named: str = "") -> Layout:
    words = LABELS + (", beside it" if beside else "")
    names = tuple((named or image.rpartition(".")[0]).format(name) for name in NAMES)
    return Layout(name, words, partial(each, image=image, path=path, content=label), False, names)


def in_images(*, folder: str = "images/") -> tuple[str, str]:
    return tuple(folder + name for name in NAMES)


LAYOUTS = [
    of_labels("images and labels", "images/{}.tif", "labels/{}.tif"),
    of_labels("StarDist folders", "train/images/{}.tif", "train/masks/{}.tif"),
    of_labels("_mask beside the image", "{}.tif", "{}_mask.png", beside=True),
    of_labels("Cellpose _masks.tif", "{}.tif", "{}_cp_masks.tif", beside=True),
    of_labels("other suffixes and case", "images/{}.PNG", "Labels/{}-Label.TIF"),
    of_labels("OME-TIFF and labels", "{}.ome.tif", "{}_seg.tif", beside=True, named="{}"),
    Layout("layered TIFF", LABELS + ", beside it", partial(layered, path="{}_layers.tif")),
    Layout(
        "folder of masks per image",
        "label image, a mask per cell and file",
        partial(masks, image="images/{}.tif", path="masks/{}/{}.png"),
        names=in_images(),
    ),
    Layout(
        "Data Science Bowl 2018",
        "label image, a mask per cell and file",
        partial(masks, image="{0}/images/{0}.png", path="{}/masks/m{}.png"),
        names=("a/images/a", "b/images/b"),
    ),
    Layout(
        "COCO json",
        "COCO json, a file for all images",
        lambda root: (images(root, "images/{}.tif"), write(root / "cells.json", coco(NAMES))),
        names=in_images(),
    ),
    Layout(
        "Fiji RoiSet.zip",
        ZIP + ", beside it",
        partial(each, image="{}.tif", path="{}_RoiSet.zip", content=roi_zip),
    ),
    Layout(
        "QuPath GeoJSON",
        "QuPath GeoJSON, a file per image, beside it",
        partial(each, image="{}.tif", path="{}.geojson", content=geojson),
    ),
    Layout(
        "LabelMe",
        "LabelMe json, a file per image, beside it",
        partial(each, image="{}.tif", path="{}.json", content=labelme),
    ),
    Layout(
        "YOLO",
        "YOLO segmentation txt, a file per image",
        partial(each, image="images/train/{}.png", path="labels/train/{}.txt", content=yolo),
        names=in_images(folder="images/train/"),
        classes=("class 0",),
    ),
    Layout(
        "napari shapes",
        "napari shapes csv, a file per image, beside it",
        partial(each, image="{}.tif", path="{}.csv", content=napari),
    ),
    Layout("Cellpose _seg.npy", "Cellpose _seg.npy, a file per image, beside it", seg_npy, False),
    Layout(
        "film with label stack",
        LABELS + ", beside it",
        partial(film, image=dict(metadata=dict(axes="TYX")), stack=dict(metadata=dict(axes="TYX"))),
        False,
        ("film_t0000", "film_t0001"),
    ),
    Layout(
        "a label image per class",
        "label image, several files per image",
        classes,
        names=("a/image", "b/image"),
        classes=("class1", "class2"),
    ),
]
