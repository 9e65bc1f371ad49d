"""The table of annotation files: each is read to the right masks, or refused in one line with the cure."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pytest
from roifile import ROI_OPTIONS, ROI_SUBTYPE, ROI_TYPE, ImagejRoi

from cellmm.errors import CellMMError
from cellmm.io.annotations import annotation_readers, find_reader, to_rle
from cellmm.io.layered_tiff import write_layered_tiff
from cellmm.structures import LabelLayers, rle
from tests.io.annotations import programs as p
from tests.io.annotations.programs import ALL, ELL, HOLED, NAMES, PARTS, ROUND, SOLID, H, W


@dataclass
class Row:
    name: str
    title: str  # of the reader
    write: p.Write
    masks: list[np.ndarray]
    labels: list[str | None]
    image: str | None = None
    left_out: dict[str, int] = field(default_factory=dict)
    times: list[int | None] | None = None
    crowds: list[bool] | None = None


@dataclass
class Refused:
    name: str
    title: str
    write: p.Write
    message: str  # what is wrong, and the cure


def layered(folder: Path) -> Path:
    write_layered_tiff(folder / "a_masks.tif", LabelLayers.from_masks(np.stack(ALL)))
    return folder / "a_masks.tif"


def png(name: str, image: np.ndarray) -> p.Write:
    return p.data(name, cv2.imencode(".png", image)[1].tobytes())


def spline_corners() -> np.ndarray:
    angle = np.arange(0, 360, 30) * np.pi / 180
    return np.stack([26 + 12 * np.cos(angle), 18 + 12 * np.sin(angle)], axis=1)


KAPPA = 4 / 3 * (np.sqrt(2) - 1)  # of the cubic curves that stand for a quarter of a circle
CURVES = [
    (0, 36, 18), (3, 36, 18 + 10 * KAPPA, 26 + 10 * KAPPA, 28, 26, 28),
    (3, 26 - 10 * KAPPA, 28, 16, 18 + 10 * KAPPA, 16, 18),
    (3, 16, 18 - 10 * KAPPA, 26 - 10 * KAPPA, 8, 26, 8),
    (3, 26 + 10 * KAPPA, 8, 36, 18 - 10 * KAPPA, 36, 18), (4,),
]  # fmt: skip
SPLINE = ROI_OPTIONS.SUB_PIXEL_RESOLUTION | ROI_OPTIONS.SPLINE_FIT
LINE = ImagejRoi(roitype=ROI_TYPE.LINE, x1=1, y1=1, x2=9, y2=9)
POINTS = p.polygon_roi(ELL, ROI_TYPE.POINT)
TURNED = np.array([[10, 4], [40, 12], [37, 23.25], [7, 15.25]])
ELLIPSE_XY = 'cx="20.5" cy="15" rx="12" ry="6.5"'
JSON_MIN = dict(id=5, annotator=1, annotation_id=7, created_at="2026-01-02", lead_time=3.2)


def inside(points: np.ndarray) -> np.ndarray:
    """The pixels whose centre is in a convex polygon, by half planes; clockwise where y points down."""
    y, x = np.mgrid[:H, :W] + 0.5
    found = np.ones((H, W), dtype=bool)
    for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
        found &= (x1 - x0) * (y - y0) - (y1 - y0) * (x - x0) >= 0
    return found


FIJI = [
    Row("roi: traced polygon", "Fiji ROIs", p.one_roi(p.polygon_roi(ELL)), [ELL], [None]),
    Row("roi: polygon", "Fiji ROIs", p.one_roi(p.polygon_roi(ELL, ROI_TYPE.POLYGON)), [ELL], [None]),
    Row("roi: freehand", "Fiji ROIs", p.one_roi(p.polygon_roi(ROUND, ROI_TYPE.FREEHAND)), [ROUND], [None]),
    Row(
        "roi: subpixel freehand, its integers a pixel off",
        "Fiji ROIs",
        p.one_roi(p.float_roi(TURNED + 0.3)),
        [inside(TURNED + 0.3)],
        [None],
    ),
    Row(
        "roi: rectangle",
        "Fiji ROIs",
        p.one_roi(p.bounds_roi(ROI_TYPE.RECT, 4, 6, 20, 9)),
        [p.box(6, 4, 15, 24)],
        [None],
    ),
    Row(
        "roi: subpixel rectangle",
        "Fiji ROIs",
        p.one_roi(p.bounds_roi(ROI_TYPE.RECT, 4.6, 6.25, 20.0, 9.5)),
        [p.box(6, 5, 16, 25)],
        [None],
    ),
    Row(
        "roi: rounded rectangle",
        "Fiji ROIs",
        p.one_roi(p.bounds_roi(ROI_TYPE.RECT, 10, 6, 20, 20, rounded_rect_arc_size=20)),
        [p.oval(20, 16, 10, 10)],
        [None],
    ),
    Row(
        "roi: rotated rectangle",
        "Fiji ROIs",
        p.one_roi(p.float_roi(TURNED, subtype=ROI_SUBTYPE.ROTATED_RECT, x1=8.5, y1=9.6, x2=38.5, y2=17.6)),
        [inside(TURNED)],
        [None],
    ),
    Row(
        "roi: oval",
        "Fiji ROIs",
        p.one_roi(p.bounds_roi(ROI_TYPE.OVAL, 5, 4, 21, 12)),
        [p.oval(15.5, 10, 10.5, 6)],
        [None],
    ),
    Row(
        "roi: subpixel oval",
        "Fiji ROIs",
        p.one_roi(p.bounds_roi(ROI_TYPE.OVAL, 5.25, 4.5, 21.5, 12.25)),
        [p.oval(16, 10.625, 10.75, 6.125)],
        [None],
    ),
    Row(
        "roi: ellipse, a polygon of its outline",
        "Fiji ROIs",
        p.one_roi(p.float_roi(p.ring(ROUND) + 0.25, subtype=ROI_SUBTYPE.ELLIPSE)),
        [ROUND],
        [None],
    ),
    Row("roi: composite with a hole", "Fiji ROIs", p.one_roi(p.composite(HOLED)), [HOLED], [None]),
    Row("roi: composite of parts", "Fiji ROIs", p.one_roi(p.composite(PARTS)), [PARTS], [None]),
    Row(
        "roi: composite of curves",
        "Fiji ROIs",
        p.one_roi(p.path_roi(*CURVES)),
        [p.oval(26, 18, 10, 10)],
        [None],
    ),
    Row(
        "roi: polygon with a spline fit",
        "Fiji ROIs",
        p.one_roi(p.float_roi(spline_corners(), options=SPLINE)),
        [p.oval(26, 18, 12, 12)],
        [None],
    ),
    Row(
        "zip: several, some without area, and a stray file",
        "Fiji ROIs",
        p.roi_zip(*map(p.polygon_roi, SOLID), p.composite(HOLED), LINE, POINTS, more={"notes.txt": b"x"}),
        [*SOLID, HOLED],
        [None] * 3,
        left_out={"files that are not ROIs": 1, "lines": 1, "points": 1},
    ),
    Row(
        "zip: frames of a hyperstack, groups as classes",
        "Fiji ROIs",
        p.roi_zip(
            p.polygon_roi(ROUND, t_position=1, c_position=2, group=3),
            p.polygon_roi(ELL, t_position=4, z_position=1),
        ),
        SOLID,
        ["group 3", None],
        times=[0, 3],
    ),
    Row(
        "zip: slices of a stack",
        "Fiji ROIs",
        p.roi_zip(p.polygon_roi(ROUND, position=2), p.polygon_roi(ELL, position=2)),
        SOLID,
        [None, None],
        times=[1, 1],
    ),
]  # fmt: skip

QUPATH = [
    Row(
        "geojson: collection with holes and parts",
        "QuPath GeoJSON",
        p.as_json(
            "a.geojson",
            p.collection(
                *(p.feature(p.closed(mask), name=name) for mask, name in zip(ALL[:3], NAMES, strict=False)),
                p.feature([[part] for part in p.closed(PARTS)], "MultiPolygon", NAMES[3]),
            ),
        ),
        ALL,
        NAMES,
    ),
    Row(
        "geojson: a list of features, without classes",
        "QuPath GeoJSON",
        p.as_json("a.json", [p.feature(p.closed(mask), name=None) for mask in SOLID]),
        SOLID,
        [None, None],
    ),
    Row(
        "geojson: a single feature, classes by level",
        "QuPath GeoJSON",
        p.as_json("a.geojson", p.feature(p.closed(HOLED), name={"names": ["Tumor", "Positive"]})),
        [HOLED],
        ["Tumor: Positive"],
    ),
    Row(
        "geojson: cells with nuclei, regions around them, tiles, points",
        "QuPath GeoJSON",
        p.as_json(
            "a.geojson",
            p.collection(
                p.feature(p.closed(p.box(0, 0, H, W)), name="Tumor"),
                p.feature(
                    p.closed(ROUND),
                    objectType="cell",
                    nucleusGeometry={"type": "Polygon", "coordinates": p.closed(p.box(10, 12, 14, 17))},
                ),
                p.feature(p.closed(ELL), objectType="detection"),
                p.feature(p.closed(ELL), objectType="tile"),
                p.feature([3, 4], "Point", objectType="detection"),
            ),
        ),
        SOLID,
        ["cell", "cell"],
        left_out={
            "annotations around detections, which are regions and not cells": 1,
            "nuclei within cells": 1,
            "points": 1,
            "tiles": 1,
        },
    ),
    Row(
        "geojson: time points, regions to ignore",
        "QuPath GeoJSON",
        p.as_json(
            "a.geojson",
            p.collection(
                p.feature(p.closed(ROUND), geometry={"plane": {"c": -1, "z": 0, "t": 2}}),
                p.feature(p.closed(ELL), name="Ignore*"),
            ),
        ),
        SOLID,
        ["cell", "Ignore*"],
        times=[2, 0],
        crowds=[False, True],
    ),
    Row(
        "geojson: parts that overlap are one cell",
        "QuPath GeoJSON",
        p.as_json(
            "a.geojson",
            p.collection(
                p.feature([p.closed(p.box(3, 4, 9, 20)), p.closed(p.box(6, 10, 20, 14))], "MultiPolygon")
            ),
        ),
        [p.box(3, 4, 9, 20) | p.box(6, 10, 20, 14)],
        ["cell"],
    ),
    Row("geojson: nothing annotated", "QuPath GeoJSON", p.as_json("a.geojson", p.collection()), [], []),
]

LS_IMAGE = "plate 1.png"
LABEL_STUDIO = [
    Row(
        "label studio: polygons",
        "Label Studio json",
        p.as_json("a.json", [p.task(p.ls_polygon(ROUND), p.ls_polygon(ELL, 1, "nucleus"))]),
        SOLID,
        ["cell", "nucleus"],
        image=LS_IMAGE,
    ),
    Row(
        "label studio: brushes keep holes and parts",
        "Label Studio json",
        p.as_json("a.json", [p.task(*(p.ls_brush(mask, i, NAMES[i]) for i, mask in enumerate(ALL)))]),
        ALL,
        NAMES,
        image=LS_IMAGE,
    ),
    Row(
        "label studio: a turned ellipse, boxes and keypoints",
        "Label Studio json",
        p.as_json(
            "a.json",
            [
                p.task(
                    p.region(
                        dict(x=2600 / W, y=1800 / H, radiusX=1200 / W, radiusY=500 / H, rotation=35)
                        | dict(ellipselabels=["cell"])
                    ),
                    p.region(dict(x=1, y=2, width=9, height=9, rotation=0, rectanglelabels=["cell"]), 1),
                    p.region(dict(x=1, y=2, width=0.5, keypointlabels=["cell"]), 2),
                )
            ],
        ),
        [p.oval(26, 18, 12, 5, 35)],
        ["cell"],
        image=LS_IMAGE,
        left_out={"boxes": 1, "points and other marks": 1},
    ),
    Row(
        "label studio: shape and label in two results, a choice, an open polygon",
        "Label Studio json",
        p.as_json(
            "a.json",
            [
                p.task(
                    p.region(dict(points=p.percent(p.ring(ELL)), closed=True), 1, "polygon"),
                    p.region(dict(points=p.percent(p.ring(ELL)), closed=True, labels=["cell"]), 1, "labels"),
                    p.region(dict(points=[[1, 1], [5, 1], [9, 9]], closed=False, polygonlabels=["cell"]), 2),
                    dict(
                        id="c", type="choices", from_name="ok", to_name="image", value=dict(choices=["yes"])
                    ),
                )
            ],
        ),
        [ELL],
        ["cell"],
        image=LS_IMAGE,
        left_out={"polygons that were not closed": 1},
    ),
    Row(
        "label studio: several annotators, the ground truth counts",
        "Label Studio json",
        p.as_json(
            "a.json",
            [
                p.task(
                    annotations=[
                        dict(result=[p.ls_polygon(ROUND)], was_cancelled=True),
                        dict(result=[p.ls_polygon(ROUND)], completed_by=1),
                        dict(result=[p.ls_polygon(ELL)], completed_by=2, ground_truth=True),
                    ],
                    predictions=[dict(result=[p.ls_polygon(ROUND)])],
                    data={"id": "x", "image": "/data/local-files/?d=day%202/b.tif"},
                )
            ],
        ),
        [ELL],
        ["cell"],
        image="day 2/b.tif",
        left_out={
            "annotations of the same image by others": 1,
            "annotations that were skipped": 1,
            "predictions of a model": 1,
        },
    ),
    Row(
        "label studio: a bitmask, a task to be done",
        "Label Studio json",
        p.as_json(
            "a.json",
            [
                p.task(id=4, annotations=[]),
                p.task(
                    p.region(
                        dict(
                            imageDataURL=f"data:image/png;base64,{p.png_text(HOLED)}", bitmasklabels=["cell"]
                        )
                    )
                ),
            ],
        ),
        [HOLED],
        ["cell"],
        image=LS_IMAGE,
        left_out={"tasks that nobody annotated": 1},
    ),
    Row(
        "label studio: JSON-MIN, two annotators",
        "Label Studio json",
        p.as_json(
            "a.json",
            [
                JSON_MIN
                | dict(
                    image="/data/upload/3/0123abcd-a.png",
                    label=[
                        dict(points=p.percent(p.ring(ROUND)), closed=True, polygonlabels=["cell"])
                        | dict(original_width=W, original_height=H),
                        dict(format="rle", rle=p.brush_rle(PARTS * np.uint8(255)), brushlabels=["nucleus"])
                        | dict(original_width=W, original_height=H),
                    ],
                ),
                JSON_MIN | dict(image="/data/upload/3/0123abcd-a.png", annotation_id=8, annotator=2),
            ],
        ),
        [ROUND, PARTS],
        ["cell", "nucleus"],
        image="a.png",
        left_out={"annotations of the same image by others": 1},
    ),
]

CVAT = [
    Row(
        "cvat: polygons, masks, an ellipse, boxes and points",
        "CVAT for images 1.1",
        p.text(
            "annotations.xml",
            p.cvat(
                p.cvat_polygon(ROUND),
                p.cvat_mask(HOLED, "nucleus"),
                p.cvat_mask(PARTS),
                f'<ellipse label="cell" occluded="0" {ELLIPSE_XY} rotation="20.0" z_order="0"></ellipse>',
                '<box label="cell" occluded="0" xtl="1" ytl="2" xbr="8" ybr="9" z_order="0"></box>',
                '<points label="cell" points="1.0,2.0;3.0,4.0"></points><tag label="good"></tag>',
            ),
        ),
        [ROUND, HOLED, PARTS, p.oval(20.5, 15, 12, 6.5, 20)],
        ["cell", "nucleus", "cell", "cell"],
        image="day 1/a.png",
        left_out={"boxes": 1, "points": 1},
    ),
    Row(
        "cvat: a group is one cell",
        "CVAT for images 1.1",
        p.text(
            "annotations.xml",
            p.cvat(
                p.cvat_polygon(p.box(2, 2, 9, 9), more='group_id="2"'),
                p.cvat_polygon(ROUND, more='group_id="0"'),
                p.cvat_polygon(p.box(20, 30, 30, 40), more='group_id="2"'),
            ),
        ),
        [p.box(2, 2, 9, 9) | p.box(20, 30, 30, 40), ROUND],
        ["cell", "cell"],
        image="day 1/a.png",
    ),
]

LABELME = [
    Row(
        "labelme: polygon, circle, rectangle, mask, line",
        "LabelMe json",
        p.as_json(
            "a.json",
            p.labelme(
                p.lm_shape(p.ring(ELL)),
                p.lm_shape([[26, 18], [32, 26]], "circle"),
                p.lm_shape([[40, 5], [48, 20]], "rectangle", "nucleus"),
                p.lm_mask(HOLED, "nucleus"),
                p.lm_shape([[1, 1], [5, 5]], "line"),
            ),
        ),
        [ELL, p.oval(26, 18, 10, 10), p.box(5, 40, 20, 48), HOLED],
        ["cell", "cell", "nucleus", "nucleus"],
        image="../images/a.png",
        left_out={"lines": 1},
    ),
    Row(
        "labelme: a group is one cell, also where its parts overlap",
        "LabelMe json",
        p.as_json(
            "a.json",
            p.labelme(
                p.lm_shape(p.ring(p.box(3, 4, 9, 20)), group_id=1),
                p.lm_shape(p.ring(p.box(6, 10, 20, 14)), group_id=1),
                p.lm_shape(p.ring(ELL), label="nucleus", group_id=1),
            ),
        ),
        [p.box(3, 4, 9, 20) | p.box(6, 10, 20, 14), ELL],
        ["cell", "nucleus"],
        image="../images/a.png",
    ),
]

YOLO = [
    Row(
        "yolo: labels beside images, names in data.yaml",
        "YOLO segmentation txt",
        p.also(
            p.with_image(
                p.text("labels/train/a.txt", f"{p.yolo_line(0, ROUND)}\n{p.yolo_line(1, ELL)}\n"),
                "images/train/a.png",
            ),
            "data.yaml",
            "path: .\ntrain: images/train\nnames:\n  0: cell\n  1: nucleus\n",
        ),
        SOLID,
        ["cell", "nucleus"],
        image="a.png",
    ),
    Row(
        "yolo: image and text in a folder, classes.txt, a box among outlines",
        "YOLO segmentation txt",
        p.also(
            p.with_image(p.text("a.txt", f"{p.yolo_line(1, ELL)}\n1 0.5 0.5 0.1 0.1\n"), "a.png"),
            "classes.txt",
            "cell\nnucleus\n",
        ),
        [ELL],
        ["nucleus"],
        image="a.png",
        left_out={"boxes": 1},
    ),
    Row(
        "yolo: no names, no cell",
        "YOLO segmentation txt",
        p.with_image(p.text("labels/a.txt", "\n"), "images/a.png"),
        [],
        [],
        image="a.png",
    ),
]

NAPARI = [
    Row(
        "napari: polygon, rectangle, turned ellipse, path",
        "napari shapes csv",
        p.text(
            "a.csv",
            p.napari(
                ("polygon", p.napari_ring(ELL)),
                ("rectangle", np.array([[3, 4], [3, 20], [10, 20], [10, 4]]) - 0.5),
                ("ellipse", np.array([[4, 10], [12, 40], [23.25, 37], [15.25, 7]]) - 0.5),
                ("path", np.array([[1, 1], [5, 5], [9, 1]])),
            ),
        ),
        [
            ELL,
            p.box(3, 4, 10, 20),
            p.oval(23.5, 13.625, np.hypot(30, 8) / 2, np.hypot(3, 11.25) / 2, np.degrees(np.arctan2(8, 30))),
        ],
        [None] * 3,
        left_out={"lines": 1},
    ),
    Row(
        "napari: time before row and column",
        "napari shapes csv",
        p.text(
            "a.csv",
            p.napari(("polygon", p.napari_ring(ELL, 3, 1)), ("polygon", p.napari_ring(ROUND, 0, 1)), axes=4),
        ),
        [ELL, ROUND],
        [None, None],
        times=[3, 0],
    ),
]

PATHOLOGY = [
    Row(
        "aperio: as in MoNuSeg",
        "Aperio ImageScope XML",
        p.text("a.xml", p.aperio(*(p.aperio_region(p.ring(mask), i) for i, mask in enumerate(SOLID, 1)))),
        SOLID,
        [None, None],
    ),
    Row(
        "aperio: named layer, a hole, an ellipse, a ruler",
        "Aperio ImageScope XML",
        p.text(
            "a.xml",
            p.aperio(
                p.aperio_region(p.ring(p.box(2, 2, 30, 30)), 1),
                p.aperio_region(
                    p.ring(p.box(20, 20, 34, 34)), 2, 'Type="0" NegativeROA="1" InputRegionId="0"'
                ),
                p.aperio_region(np.array([[30, 4], [50, 16]]), 3, 'Type="2"'),
                p.aperio_region(np.array([[30, 4], [50, 16]]), 4, 'Type="4"'),
                name="tumor",
            ),
        ),
        [p.box(2, 2, 30, 30) & ~p.box(20, 20, 34, 34), p.oval(40, 10, 10, 6)],
        ["tumor", "tumor"],
        left_out={"rulers": 1},
    ),
    Row(
        "aperio: as in MoNuSAC, the class an attribute",
        "Aperio ImageScope XML",
        p.text("a.xml", p.aperio(p.aperio_region(p.ring(ELL), 1), attribute="Epithelial")),
        [ELL],
        ["Epithelial"],
    ),
    Row(
        "asap: polygons by group, a dot",
        "ASAP XML",
        p.text(
            "a.xml",
            p.asap(
                ("Polygon", "tumor", p.ring(ROUND)),
                ("Polygon", "None", p.ring(ELL)),
                ("Dot", "None", [[1, 2]]),
            ),
        ),
        SOLID,
        ["tumor", None],
        left_out={"points": 1},
    ),
]

VIA = [
    Row(
        "via: project with polygon, circle, ellipse, box",
        "VIA (VGG Image Annotator)",
        p.as_json(
            "a.json",
            {
                "_via_settings": {},
                "_via_img_metadata": p.via(
                    (p.via_shape(p.ring(ELL)), {"label": "cell", "quality": "good"}),
                    (dict(name="circle", cx=20, cy=15, r=9.5), {"kind": "nucleus"}),
                    (dict(name="ellipse", cx=20, cy=15, rx=12, ry=6, theta=np.radians(25)), {}),
                    (dict(name="rect", x=1, y=2, width=3, height=4), {}),
                ),
                "_via_attributes": {},
            },
        ),
        [ELL, p.oval(20, 15, 9.5, 9.5), p.oval(20, 15, 12, 6, 25)],
        ["cell", "nucleus", None],
        image="a.png",
        left_out={"boxes": 1},
    ),
    Row(
        "via: json of version 1",
        "VIA (VGG Image Annotator)",
        p.as_json("a.json", p.via((p.via_shape(p.ring(ROUND)), {"type": {"cell": True}}), as_dict=True)),
        [ROUND],
        ["cell"],
        image="a.png",
    ),
    Row(
        "via: csv",
        "VIA (VGG Image Annotator)",
        p.text("a.csv", p.via_csv(*((p.via_shape(p.ring(mask)), {"class": "cell"}) for mask in SOLID))),
        SOLID,
        ["cell", "cell"],
        image="a.png",
    ),
    Row(
        "via: csv of version 1",
        "VIA (VGG Image Annotator)",
        p.text(
            "a.csv", p.via_csv((p.via_shape(p.ring(ELL)), {}), (dict(name="point"), {}), first="#filename")
        ),
        [ELL],
        [None],
        image="a.png",
        left_out={"points": 1},
    ),
]

LABELS = p.without_overlap(SOLID)
PIXELS = [
    Row("cellpose: _seg.npy", "Cellpose _seg.npy", p.seg_npy(), LABELS, [None, None], image="a.tif"),
    Row(
        "cellpose: _seg.npy with a path, without a name",
        "Cellpose _seg.npy",
        p.seg_npy(filename=p.A_PATH, colors=None),
        LABELS,
        [None, None],
        image="a.tif",
    ),
    Row(
        "cellpose: _cp_masks.tif",
        "label image",
        p.tiff("a_cp_masks.tif", p.label_of(SOLID)),
        LABELS,
        [None, None],
        image="a",
    ),
    Row("label image: png, any name", "label image", png("b.png", p.label_of(SOLID)), LABELS, [None, None]),
    Row("label image: layers keep overlap", "label image", layered, ALL, [None] * 4, image="a"),
    Row(
        "label image: a time series",
        "label image",
        p.tiff(
            "a_masks.tif",
            np.stack([p.label_of(SOLID), p.label_of([HOLED])]),
            imagej=True,
            metadata={"axes": "TYX"},
        ),
        [*LABELS, HOLED],
        [None] * 3,
        image="a",
        times=[0, 0, 1],
    ),
    Row(
        "label image: pages with the same numbers are time points",
        "label image",
        p.tiff("a_labels.tif", np.stack([p.label_of([ELL]), p.label_of([ROUND])]), photometric="minisblack"),
        [ELL, ROUND],
        [None, None],
        image="a",
        times=[0, 1],
    ),
    Row(
        "supervisely: bitmaps and a box",
        "Supervisely json",
        p.as_json(
            "a.png.json",
            p.supervisely(
                *(p.sly_bitmap(mask, name) for mask, name in zip(ALL, NAMES, strict=True)),
                dict(geometryType="rectangle", classTitle="cell", points=dict(exterior=[[1, 2], [5, 6]])),
            ),
        ),
        ALL,
        NAMES,
        image="a.png",
        left_out={"boxes": 1},
    ),
    Row(
        "supervisely: polygons of pixels, and of places",
        "Supervisely json",
        p.as_json(
            "a.png.json",
            p.supervisely(
                dict(
                    geometryType="polygon",
                    classTitle="cell",
                    points=dict(exterior=[[4, 3], [19, 3], [19, 9], [4, 9]], interior=[]),
                ),
                dict(
                    geometryType="polygon",
                    classTitle="cell",
                    points=dict(exterior=(TURNED + 0.3).tolist(), interior=[]),
                ),
            ),
        ),
        [p.box(3, 4, 10, 20), inside(TURNED + 0.3)],
        ["cell", "cell"],
        image="a.png",
    ),
    Row(
        "coco: polygons, RLE, a crowd",
        "COCO json",
        p.as_json(
            "instances.json",
            p.coco(
                dict(segmentation=[points.ravel().tolist() for points in p.rings(PARTS)]),
                dict(segmentation=p.coco_rle(HOLED), category_id=2),
                dict(segmentation=p.coco_rle(ELL), iscrowd=1),
            ),
        ),
        [PARTS, HOLED, ELL],
        ["cell", "nucleus", "cell"],
        image="a.png",
        crowds=[False, False, True],
    ),
]

ROWS = [*FIJI, *QUPATH, *LABEL_STUDIO, *CVAT, *LABELME, *YOLO, *NAPARI, *PATHOLOGY, *VIA, *PIXELS]


def read(path: Path) -> list:
    reader = find_reader(path)
    assert reader is not None, "no reader knows it"
    return reader.read(path)


def test_the_table_has_more_than_forty_layouts():
    assert len(ROWS) > 40
    assert {row.title for row in ROWS} == {reader.title for reader in annotation_readers()}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_each_layout_is_read_to_the_right_masks(tmp_path, row):
    path = row.write(tmp_path)
    knowing = [reader for reader in annotation_readers() if path.suffix in reader.suffixes]
    assert [reader.title for reader in knowing if reader.recognises(path)] == [row.title]
    (found,) = read(path)
    masks = rle.decode([to_rle(cell, (H, W)) for cell in found.cells], (H, W))
    assert len(masks) == len(row.masks)
    for number, (mask, expected) in enumerate(zip(masks, row.masks, strict=True)):
        assert np.array_equal(mask, expected), f"cell {number}: {(mask ^ expected).sum()} pixels differ"
    assert [cell.label for cell in found.cells] == row.labels
    assert [cell.time for cell in found.cells] == (row.times or [None] * len(masks))
    assert [cell.iscrowd for cell in found.cells] == (row.crowds or [False] * len(masks))
    assert (found.image, found.left_out or {}) == (row.image, row.left_out)
    assert found.shape in (None, (H, W))


NAN = float("nan")
LS_ELL = p.ls_polygon(ELL)
BOMB = (
    '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "xxxxxxxxxx"><!ENTITY c "&b;&b;&b;">]><annotations>'
    '<version>1.1</version><image id="0" name="a.png" width="9" height="9">&c;</image></annotations>'
)


def cut(write: p.Write, share: float = 0.6) -> p.Write:
    def half(folder: Path) -> Path:
        path = write(folder)
        content = path.read_bytes()
        path.write_bytes(content[: int(share * len(content))])
        return path

    return half


def zip_bomb(folder: Path) -> Path:
    """A zip whose ROI says that it unpacks to 4 GiB."""
    path = p.roi_zip(p.polygon_roi(ELL))(folder)
    content = bytearray(path.read_bytes())
    at = content.index(b"PK\1\2")
    content[at + 24 : at + 28] = (2**32 - 2).to_bytes(4, "little")
    path.write_bytes(bytes(content))
    return path


def changed(value: dict, **more: object) -> dict:
    return json.loads(json.dumps(value)) | more


REFUSED = [
    Refused(
        "roi: cut off", "Fiji ROIs", cut(p.one_roi(p.polygon_roi(ROUND)), 0.5), "is damaged .*save it again"
    ),
    Refused("roi: only points", "Fiji ROIs", p.one_roi(POINTS), "just 1 points; outline cells"),
    Refused(
        "roi: a path that ends early",
        "Fiji ROIs",
        p.one_roi(p.path_roi((0, 1, 2), (1, 4))),
        "path ends within",
    ),
    Refused(
        "roi: NaN",
        "Fiji ROIs",
        p.one_roi(
            p.float_roi(
                [[1, 2], [9, 2], [9, 9]],
                subpixel_coordinates=np.array([[1, 2], [9, NAN], [9, 9]], np.float32),
            )
        ),
        "has a coordinate nan, .*; repair",
    ),
    Refused(
        "zip: cut off", "Fiji ROIs", cut(p.roi_zip(*map(p.polygon_roi, SOLID))), "cut off .*: copy or save"
    ),
    Refused("zip: a bomb", "Fiji ROIs", zip_bomb, "unpacks to 4294967294 bytes.*several zips"),
    Refused(
        "zip: an ROI without a frame among several",
        "Fiji ROIs",
        p.roi_zip(*(p.polygon_roi(ELL, t_position=time) for time in (0, 1, 2))),
        "1 of 3 ROIs belong to no frame.*position",
    ),
    Refused(
        "geojson: cut off",
        "QuPath GeoJSON",
        cut(p.as_json("a.geojson", p.collection(p.feature(p.closed(ELL))))),
        "is not valid json .*export it again",
    ),
    Refused(
        "geojson: NaN",
        "QuPath GeoJSON",
        p.as_json("a.geojson", p.collection(p.feature([[[1, 2], [NAN, 2], [4, 4]]]))),
        "feature 0 has a coordinate nan",
    ),
    Refused(
        "geojson: a number too large for an image",
        "QuPath GeoJSON",
        p.as_json("a.geojson", p.collection(p.feature([[[1, 2], [1e9, 2], [4, 4]]]))),
        r"feature 0 has a coordinate 1e\+09, which is not a place",
    ),
    Refused(
        "geojson: text for numbers",
        "QuPath GeoJSON",
        p.as_json("a.geojson", p.collection(p.feature([[["1", "2"], ["3", "2"], ["4", "4"]]]))),
        "not pairs of numbers; repair",
    ),
    Refused(
        "geojson: only points",
        "QuPath GeoJSON",
        p.as_json("a.geojson", p.collection(p.feature([3, 4], "Point"))),
        "no area of a cell, just 1 points; outline cells by areas",
    ),
    Refused(
        "label studio: only boxes",
        "Label Studio json",
        p.as_json("a.json", [p.task(p.region(dict(x=1, y=2, width=9, height=9, rectanglelabels=["cell"])))]),
        "just 1 boxes; draw cells by PolygonLabels",
    ),
    Refused(
        "label studio: a brush that is cut off",
        "Label Studio json",
        p.as_json(
            "a.json", [p.task(p.region(dict(format="rle", rle=p.brush_rle(ELL * np.uint8(255))[:-9])))]
        ),
        "RLE that is cut off: export it again",
    ),
    Refused(
        "label studio: a brush of another image",
        "Label Studio json",
        p.as_json("a.json", [p.task(changed(p.ls_brush(ELL), original_width=W + 1))]),
        "not of 4 bytes for each pixel of an image of",
    ),
    Refused(
        "label studio: a turned image",
        "Label Studio json",
        p.as_json("a.json", [p.task(changed(LS_ELL, image_rotation=90))]),
        "turned by 90 degrees; turn the image itself",
    ),
    Refused(
        "label studio: nothing annotated",
        "Label Studio json",
        p.as_json("a.json", [p.task(annotations=[])]),
        "nobody annotated its 1 tasks; annotate",
    ),
    Refused(
        "cvat: an image with boxes only among others",
        "CVAT for images 1.1",
        p.text(
            "a.xml",
            p.cvat(p.cvat_polygon(ELL)).replace(
                "</annotations>",
                f'<image id="1" name="b.png" width="{W}" height="{H}"><box/></image></annotations>',
            ),
        ),
        "images with boxes only, 1: b.png; .*draw polygons",
    ),
    Refused(
        "cvat: only boxes",
        "CVAT for images 1.1",
        p.text("a.xml", p.cvat('<box label="cell" xtl="1" ytl="2" xbr="8" ybr="9"></box>')),
        "just 1 boxes; a box does not say .*draw polygons",
    ),
    Refused(
        "cvat: a video",
        "CVAT for images 1.1",
        p.text("a.xml", "<annotations><version>1.1</version><track id='0'></track></annotations>"),
        "tracks of a video.*export it as 'CVAT for images",
    ),
    Refused("cvat: entities", "CVAT for images 1.1", p.text("a.xml", BOMB), "has a DOCTYPE.*export it again"),
    Refused(
        "cvat: cut off", "CVAT for images 1.1", cut(p.text("a.xml", p.cvat(p.cvat_polygon(ELL)))), "not whole"
    ),
    Refused(
        "cvat: runs that do not fill their box",
        "CVAT for images 1.1",
        p.text("a.xml", p.cvat('<mask label="cell" rle="3, 9" left="1" top="1" width="5" height="5" />')),
        "runs of 12 pixels in a box of 5x5: export",
    ),
    Refused(
        "labelme: only rectangles",
        "LabelMe json",
        p.as_json("a.json", p.labelme(p.lm_shape([[1, 2], [5, 6]], "rectangle"))),
        "just 1 boxes; a box does not say",
    ),
    Refused(
        "labelme: a mask that is not where it says",
        "LabelMe json",
        p.as_json("a.json", p.labelme(changed(p.lm_mask(ELL), points=[[1, 2], [5, 6]]))),
        "which does not fit: save it again",
    ),
    Refused(
        "labelme: a mask that is cut off",
        "LabelMe json",
        p.as_json("a.json", p.labelme(changed(p.lm_mask(ELL), mask=p.png_text(ELL)[:60]))),
        "has a mask that cannot be read .*export it again",
    ),
    Refused(
        "yolo: only boxes",
        "YOLO segmentation txt",
        p.with_image(p.text("a.txt", "0 0.5 0.5 0.25 0.25\n"), "a.png"),
        "just 1 boxes; .*export it as YOLO segmentation",
    ),
    Refused(
        "yolo: no image",
        "YOLO segmentation txt",
        p.text("labels/a.txt", p.yolo_line(0, ELL)),
        "no image a.png .*put the images there",
    ),
    Refused(
        "yolo: an odd number of coordinates",
        "YOLO segmentation txt",
        p.with_image(p.text("a.txt", "0 0.1 0.1 0.5 0.1 0.5 0.5 0.2\n"), "a.png"),
        "line 1 is .*not a class and pairs .*export it again",
    ),
    Refused(
        "yolo: a class without a name",
        "YOLO segmentation txt",
        p.also(p.with_image(p.text("a.txt", p.yolo_line(7, ELL)), "a.png"), "data.yaml", "names: [cell]\n"),
        "class 7 has no name.*add it to data.yaml",
    ),
    Refused(
        "napari: a cell on two slices",
        "napari shapes csv",
        p.text("a.csv", p.napari(("polygon", [[0, 1, 1], [1, 1, 9], [0, 9, 9]]), axes=3)),
        "shape 0.0 lies on several slices; draw",
    ),
    Refused(
        "napari: cut off",
        "napari shapes csv",
        cut(p.text("a.csv", p.napari(("polygon", [[1, 1], [1, 9], [9, 9]]))), 0.9),
        "is cut off in line 4: save it again",
    ),
    Refused(
        "aperio: text for a number",
        "Aperio ImageScope XML",
        p.text("a.xml", p.aperio(p.aperio_region(p.ring(ELL), 1)).replace('X="18.0"', 'X="eighteen"')),
        "region 1 has X 'eighteen': repair",
    ),
    Refused(
        "asap: only dots",
        "ASAP XML",
        p.text("a.xml", p.asap(("Dot", "None", [[1, 2]]), ("Spline", "None", [[1, 2]]))),
        "just 1 points, 1 splines; draw cells by polygons",
    ),
    Refused(
        "via: x without y",
        "VIA (VGG Image Annotator)",
        p.as_json("a.json", p.via((dict(name="polygon", all_points_x=[1, 2, 3], all_points_y=[1, 2]), {}))),
        "region 0 has points without x or y: export",
    ),
    Refused(
        "cellpose: a stack of planes",
        "Cellpose _seg.npy",
        p.seg_npy(masks=np.zeros((3, H, W), np.uint16)),
        r"masks of shape \(3, 36, 52\), not of one image: save",
    ),
    Refused(
        "cellpose: an object that is not an array",
        "Cellpose _seg.npy",
        p.seg_npy(filename=np.random.default_rng(0)),
        "more than arrays, texts and numbers, .* for safety .*save the masks as TIFF",
    ),
    Refused("cellpose: cut off", "Cellpose _seg.npy", cut(p.seg_npy()), "is damaged or holds more than"),
    Refused(
        "label image: layers whose numbers are negative",
        "label image",
        p.tiff("a_masks.tif", np.where(p.box(0, 0, 1, 1), -1, 0).astype(np.int16) + p.label_of(SOLID)),
        "negative",
    ),
    Refused(
        "supervisely: a bitmap that is damaged",
        "Supervisely json",
        p.as_json(
            "a.json", p.supervisely(changed(p.sly_bitmap(ELL), bitmap=dict(data="AAAA", origin=[1, 2])))
        ),
        "has a mask that cannot be read .*export",
    ),
    Refused(
        "coco: boxes",
        "COCO json",
        p.as_json("a.json", p.coco(dict(segmentation=[], bbox=[1, 2, 3, 4]))),
        "an empty list of polygons, as in a file with boxes only",
    ),
]


@pytest.mark.parametrize("row", REFUSED, ids=lambda row: row.name)
def test_what_cannot_be_read_right_is_refused_in_one_line(tmp_path, row):
    path = row.write(tmp_path)
    (reader,) = [reader for reader in annotation_readers() if reader.title == row.title]
    with pytest.raises(CellMMError) as caught:
        reader.read(path)
    line = str(caught.value)
    assert re.search(row.message, line), line
    assert str(path) in line and "\n" not in line and len(line) < 600
