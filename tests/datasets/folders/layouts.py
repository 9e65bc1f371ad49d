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
import zarr

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


def picture(name: str, path: str) -> np.ndarray:
    """The image, with 8 bit for JPEG."""
    pixels = scenes()[name][0]
    return (pixels // 16).astype(np.uint8) if path.lower().endswith(".jpg") else pixels


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


def place(path: str, name: str) -> str:
    """A path with the name of an image in place of {n}, and its number, from 1, in place of {i}."""
    return path.format(n=name, i=NAMES.index(name) + 1, k="{k}")


def images(root: Path, path: str = "{n}.tif") -> None:
    for name in NAMES:
        save(root / place(path, name), picture(name, path))


def each(root: Path, image: str, path: str, content: Callable[[str], object]) -> None:
    """Images, and a file of annotations for each."""
    images(root, image)
    for name in NAMES:
        value = content(name)
        (save if isinstance(value, np.ndarray) else write)(root / place(path, name), value)


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


def labelme(name: str, image: str = "{n}.tif") -> dict:
    return p.labelme(*(p.lm_shape(p.ring(mask)) for mask in truth(name)), imagePath=place(image, name))


def yolo(name: str) -> str:
    return "\n".join(p.yolo_line(0, mask) for mask in truth(name))


def napari(name: str) -> str:
    return p.napari(*(("polygon", p.napari_ring(mask)) for mask in truth(name)))


def coco(names: Sequence[str], file: str = "{n}.tif") -> dict:
    found = [dict(id=i, file_name=place(file, name), height=p.H, width=p.W) for i, name in enumerate(names)]
    cells = [
        dict(image_id=i, segmentation=p.coco_rle(mask), area=int(mask.sum()), bbox=[0, 0, 1, 1])
        for i, name in enumerate(names)
        for mask in truth(name)
    ]
    return p.coco(*cells, images=found, categories=[dict(id=1, name="cell")])


def masks(root: Path, image: str, path: str) -> None:
    """A file per cell, with its number in place of {k}."""
    images(root, image)
    for name in NAMES:
        for number, mask in enumerate(binary(name), start=1):
            save(root / place(path, name).format(k=number), mask)


def layered(root: Path, path: str) -> None:
    images(root)
    for name in NAMES:
        write_layered_tiff(root / place(path, name), LabelLayers.from_masks(truth(name)))


def roi_files(root: Path, path: str) -> None:
    images(root)
    for name in NAMES:
        for number, roi in enumerate(rois(name)):
            write(root / place(path, name).format(k=number), roi.tobytes())


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


def ctc(root: Path) -> None:
    for i, name in enumerate(NAMES):
        save(root / f"01/t00{i}.tif", scenes()[name][0])
        save(root / f"01_GT/SEG/man_seg00{i}.tif", label(name))
        save(root / f"01_GT/TRA/man_track00{i}.tif", label(name))
    write(root / "01_GT/TRA/man_track.txt", "1 0 1 0\n")


def zarr_images(root: Path) -> None:
    for name in NAMES:
        array = zarr.open_array(root / f"{name}.zarr", shape=SIZE, dtype="u2", mode="w")
        array[:] = scenes()[name][0]
        save(root / "labels" / f"{name}.tif", label(name))


def film_of_images(root: Path) -> None:
    frames = np.stack([scenes()[name][0] for name in NAMES])
    tifffile.imwrite(root / "film.tif", frames, imagej=True, metadata=dict(axes="TYX"))


def film_rois(root: Path) -> None:
    film_of_images(root)
    found = [
        p.polygon_roi(mask, t_position=i) for i, name in enumerate(NAMES, start=1) for mask in truth(name)
    ]
    p.roi_zip(*found)(root).rename(root / "film_RoiSet.zip")


def film_shapes(root: Path) -> None:
    film_of_images(root)
    found = [("polygon", p.napari_ring(mask, i)) for i, name in enumerate(NAMES) for mask in truth(name)]
    write(root / "film.csv", p.napari(*found, axes=3))


def livecell(root: Path) -> None:
    images(root, "images/livecell_{n}_images/{n}.tif")
    for name in NAMES:
        write(root / f"livecell_coco_{name}.json", coco([name]))


def planes(root: Path) -> None:
    images(root, "{n}_low.tif")
    images(root, "{n}_high.tif")
    content = coco(NAMES)
    for image, name in zip(content["images"], NAMES, strict=True):
        image["file_names"] = [f"{name}_low.tif", f"{name}_high.tif"]
    write(root / "cells.json", content)


def label_studio(draw: Callable[[np.ndarray, int], dict]) -> list[dict]:
    tasks = []
    for number, name in enumerate(NAMES):
        found = [draw(mask, i) for i, mask in enumerate(truth(name))]
        tasks.append(p.task(*found, image=f"/data/upload/3/1a2b3c4d-{name}.png", id=number))
    return tasks


def cvat(draw: Callable[[np.ndarray], str]) -> str:
    first, second = (p.cvat(*map(draw, truth(name)), image=f'name="{name}.png"') for name in NAMES)
    start, end = second.index("<image"), second.index("</annotations>")
    return first.replace("</annotations>", second[start:end] + "</annotations>")


def regions(name: str) -> list[tuple[dict, dict]]:
    return [(p.via_shape(p.ring(mask)), dict(label="cell")) for mask in truth(name)]


def via() -> dict:
    found = {}
    for name in NAMES:
        (image,) = p.via(*regions(name)).values()
        found[f"{name}.png1234"] = image | dict(filename=f"{name}.png")
    return found


def via_csv() -> str:
    first, second = (p.via_csv(*regions(name)).replace("a.png", f"{name}.png") for name in NAMES)
    return first + second.split("\n", 1)[1]


def supervisely(name: str) -> dict:
    return p.supervisely(*map(p.sly_bitmap, truth(name)))


def aperio(name: str) -> str:
    return p.aperio(*(p.aperio_region(p.ring(mask), i) for i, mask in enumerate(truth(name))))


def asap(name: str) -> str:
    return p.asap(*(("Polygon", "tumor", p.ring(mask)) for mask in truth(name)))


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
    names: tuple[str, ...] = NAMES
    classes: tuple[str, ...] = ("cell",)
    notes: tuple[str, ...] = ()


LABELS = "label image, a file per image"


def of_labels(name: str, image: str, path: str, *, beside: bool = False, named: str = "") -> Layout:
    words = LABELS + (", beside it" if beside else "")
    names = named or image.rpartition(".")[0]
    return Layout(name, words, partial(each, image=image, path=path, content=label), False, both(names))


def of_files(name: str, title: str, image: str, path: str, content: Callable, **more: object) -> Layout:
    beside = ", beside it" if image.rpartition("/")[0] == path.rpartition("/")[0] else ""
    make = partial(each, image=image, path=path, content=content)
    return Layout(
        name, f"{title}, a file per image{beside}", make, names=both(image.rpartition(".")[0]), **more
    )


def of_one_file(name: str, title: str, image: str, path: str, content: object, **more: object) -> Layout:
    def make(root: Path) -> None:
        images(root, image)
        write(root / path, content)

    words = f"{title}, a file for all images"
    return Layout(name, words, make, names=both(image.rpartition(".")[0]), **more)


def both(path: str) -> tuple[str, str]:
    return place(path, "a"), place(path, "b")


STACK = dict(metadata=dict(axes="TYX"))
MASKS = "label image, a mask per cell and file"
ROIS = "Fiji ROIs, several files per image"
FRAMES = ("film_t0000", "film_t0001")
LAYOUTS = [
    of_labels("images and labels", "images/{n}.tif", "labels/{n}.tif"),
    of_labels("StarDist folders", "train/images/{n}.tif", "train/masks/{n}.tif"),
    of_labels("_mask beside the image", "{n}.tif", "{n}_mask.png", beside=True),
    of_labels("Cellpose _masks.tif", "{n}.tif", "{n}_cp_masks.tif", beside=True),
    of_labels("other suffixes and case", "images/{n}.PNG", "Labels/{n}-Label.TIF"),
    of_labels("OME-TIFF and labels", "{n}.ome.tif", "{n}_seg.tif", beside=True, named="{n}"),
    of_labels("mask_ before the name", "img_{n}.tif", "mask_{n}.tif", beside=True),
    of_labels("numbers in brackets", "cells ({i}).tif", "mask ({i}).tif", beside=True),
    of_labels("other leading zeros", "images/frame{i}.tif", "labels/{i:04d}.tif"),
    of_labels("a folder per image", "{n}/image.tif", "{n}/mask.tif", beside=True),
    of_labels("subfolders on both sides", "images/day{i}/x.tif", "labels/day{i}/x.tif"),
    of_labels("labels of another folder", "day{i}/{n}.tif", "truth/{n}_labels.tif"),
    of_labels("train and train_masks", "train/{n}.tif", "train_masks/{n}_mask.tif"),
    of_labels("folders that say nothing", "fluo/{n}.tif", "curated/{n}.tif"),
    of_labels("names with the image's suffix", "{n}.tif", "{n}.tif_label.png", beside=True),
    of_labels("several conditions", "ctrl_{n}.tif", "masks/ctrl-{n}.png"),
    of_labels("raw and ground truth", "set/raw/{n}.tif", "set/ground truth/{n}.tif"),
    Layout("OME-Zarr images", LABELS, zarr_images, False),
    of_labels("JPEG images", "x/{n}.jpg", "x/{n}_mask.png", beside=True),
    Layout(
        "Cell Tracking Challenge",
        LABELS,
        ctc,
        False,
        ("01/t000", "01/t001"),
        notes=("markers of tracking, not used: 2: 01_GT/TRA/man_track000.tif, 01_GT/TRA/man_track001.tif",),
    ),
    Layout("layered TIFF", LABELS + ", beside it", partial(layered, path="{n}_layers.tif")),
    Layout(
        "folder of masks per image",
        MASKS,
        partial(masks, image="images/{n}.tif", path="masks/{n}/{k}.png"),
        names=both("images/{n}"),
    ),
    Layout(
        "folder of masks beside the image", MASKS, partial(masks, image="{n}.tif", path="{n}_masks/{k}.tif")
    ),
    Layout(
        "masks with numbers",
        MASKS,
        partial(masks, image="images/{n}.tif", path="masks/{n}_{k}.png"),
        names=both("images/{n}"),
    ),
    Layout(
        "Data Science Bowl 2018",
        MASKS,
        partial(masks, image="{n}/images/{n}.png", path="{n}/masks/m{k}.png"),
        names=both("{n}/images/{n}"),
    ),
    Layout(
        "masks in the folder of an image",
        MASKS,
        partial(masks, image="{n}/image.tif", path="{n}/masks/m{k}.png"),
        names=both("{n}/image"),
    ),
    Layout(
        "BBBC010",
        MASKS,
        partial(
            masks,
            image="images/1649_B_2007_A0{i}_w2_15ADF48D.tif",
            path="BBBC010_v1_foreground_eachworm/A0{i}_{k}_ground_truth.png",
        ),
        names=both("images/1649_B_2007_A0{i}_w2_15ADF48D"),
    ),
    Layout(
        "a label image per class",
        "label image, several files per image",
        classes,
        names=both("{n}/image"),
        classes=("class1", "class2"),
    ),
    Layout(
        "film with label stack",
        LABELS + ", beside it",
        partial(film, image=STACK, stack=STACK),
        False,
        FRAMES,
    ),
    Layout(
        "film without stated axes",
        LABELS + ", beside it",
        partial(film, image=None, stack=None),
        False,
        FRAMES,
    ),
    Layout(
        "film stored as focal planes",
        LABELS + ", beside it",
        partial(film, image=dict(imagej=True, metadata=dict(axes="ZYX")), stack=STACK),
        False,
        FRAMES,
    ),
    Layout("film with Fiji ROIs", "Fiji ROIs, a file per image, beside it", film_rois, names=FRAMES),
    Layout(
        "film with napari shapes", "napari shapes csv, a file per image, beside it", film_shapes, names=FRAMES
    ),
    of_one_file("COCO json", "COCO json", "images/{n}.tif", "cells.json", coco(NAMES)),
    of_one_file(
        "COCO of another suffix", "COCO json", "{n}.tif", "cells.json", coco(NAMES, "C:\\x\\{n}.png")
    ),
    of_files("COCO json per image", "COCO json", "{n}.tif", "{n}.json", lambda name: coco([name])),
    Layout("LIVECell", "COCO json, a file per image", livecell, names=both("images/livecell_{n}_images/{n}")),
    Layout("COCO with two planes", "COCO json, a file for all images", planes, names=("a_low", "b_low")),
    of_files("Fiji RoiSet.zip", "Fiji ROIs", "{n}.tif", "{n}_RoiSet.zip", roi_zip),
    of_files("Fiji zips in a folder", "Fiji ROIs", "images/{n}.tif", "rois/RoiSet_{n}.zip", roi_zip),
    Layout("folder of .roi per image", ROIS, partial(roi_files, path="rois/{n}/00{k}.roi")),
    Layout(".roi with numbers", ROIS, partial(roi_files, path="{n}_{k}.roi")),
    of_files("QuPath GeoJSON", "QuPath GeoJSON", "{n}.tif", "{n}.geojson", geojson),
    of_files("QuPath .json", "QuPath GeoJSON", "slides/{n}.tif", "export/{n}.tif.json", geojson),
    of_files("LabelMe", "LabelMe json", "{n}.tif", "{n}.json", labelme),
    of_files(
        "YOLO",
        "YOLO segmentation txt",
        "images/train/{n}.png",
        "labels/train/{n}.txt",
        yolo,
        classes=("class 0",),
    ),
    of_files(
        "YOLO beside the image", "YOLO segmentation txt", "{n}.png", "{n}.txt", yolo, classes=("class 0",)
    ),
    of_files("napari shapes", "napari shapes csv", "{n}.tif", "{n}.csv", napari),
    Layout("Cellpose _seg.npy", "Cellpose _seg.npy, a file per image, beside it", seg_npy, False),
    of_one_file(
        "Label Studio polygons", "Label Studio json", "{n}.png", "project.json", label_studio(p.ls_polygon)
    ),
    of_one_file(
        "Label Studio brushes", "Label Studio json", "{n}.png", "project.json", label_studio(p.ls_brush)
    ),
    of_one_file(
        "CVAT polygons", "CVAT for images 1.1", "images/{n}.png", "annotations.xml", cvat(p.cvat_polygon)
    ),
    of_one_file("CVAT masks", "CVAT for images 1.1", "images/{n}.png", "annotations.xml", cvat(p.cvat_mask)),
    of_one_file("VIA project", "VIA (VGG Image Annotator)", "{n}.png", "via.json", via()),
    of_one_file("VIA csv", "VIA (VGG Image Annotator)", "{n}.png", "via.csv", via_csv()),
    of_files("Supervisely", "Supervisely json", "ds/img/{n}.png", "ds/ann/{n}.png.json", supervisely),
    of_files("Aperio xml", "Aperio ImageScope XML", "{n}.tif", "{n}.xml", aperio),
    of_files("ASAP xml", "ASAP XML", "{n}.tif", "{n}.xml", asap, classes=("tumor",)),
]
