"""Annotation files as other programs write them, from known masks; for the table of layouts."""

import base64
import csv
import io
import json
import pathlib
import zipfile
import zlib
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from xml.sax.saxutils import quoteattr

import cv2
import numpy as np
import tifffile
from pycocotools import mask as coco_mask
from roifile import ROI_OPTIONS, ROI_TYPE, ImagejRoi

from cellmm.structures import mask_outlines

Write = Callable[[Path], Path]  # of the folder; returns the file
H, W = 36, 52


def _grid() -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[:H, :W]
    return y + 0.5, x + 0.5


def box(top: int, left: int, bottom: int, right: int) -> np.ndarray:
    mask = np.zeros((H, W), dtype=bool)
    mask[top:bottom, left:right] = True
    return mask


def oval(x: float, y: float, a: float, b: float, degrees: float = 0.0) -> np.ndarray:
    """The pixels whose centre lies in an ellipse, turned clockwise where y points down."""
    rows, columns = _grid()
    turn = np.deg2rad(degrees)
    along = (columns - x) * np.cos(turn) + (rows - y) * np.sin(turn)
    across = (rows - y) * np.cos(turn) - (columns - x) * np.sin(turn)
    return (along / a) ** 2 + (across / b) ** 2 <= 1 + 1e-9


ROUND = oval(14, 12, 9, 6, 30)
ELL = box(8, 18, 30, 26) | box(24, 18, 30, 44)  # overlaps ROUND
HOLED = oval(38, 12, 8, 9) & ~oval(39, 13, 4, 3)
PARTS = box(30, 2, 34, 8) | box(20, 4, 26, 7)
SOLID = [ROUND, ELL]
ALL = [ROUND, ELL, HOLED, PARTS]
NAMES = ["cell", "nucleus", "cell", "nucleus"]


def rings(mask: np.ndarray) -> list[np.ndarray]:
    return [ring for part in mask_outlines(mask) for ring in part]


def ring(mask: np.ndarray) -> np.ndarray:
    (only,) = rings(mask)
    return only


def text(name: str, content: str) -> Write:
    return data(name, content.encode())


def data(name: str, content: bytes) -> Write:
    def write(folder: Path) -> Path:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    return write


def as_json(name: str, content: object) -> Write:
    return text(name, json.dumps(content))


def with_image(write: Write, name: str) -> Write:
    def both(folder: Path) -> Path:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 255, (H, W), dtype=np.uint8))
        return write(folder)

    return both


def also(write: Write, name: str, content: str) -> Write:
    def both(folder: Path) -> Path:
        text(name, content)(folder)
        return write(folder)

    return both


# Fiji


def polygon_roi(mask: np.ndarray, kind: ROI_TYPE = ROI_TYPE.TRACED, **fields: object) -> ImagejRoi:
    points = ring(mask)
    roi = ImagejRoi.frompoints(points)
    roi.roitype, roi.options = kind, ROI_OPTIONS(0)
    roi.subpixel_coordinates = None
    roi.left, roi.top = points.min(0).tolist()
    roi.right, roi.bottom = points.max(0).tolist()
    roi.integer_coordinates = (points - points.min(0)).astype(np.int32)
    roi.n_coordinates = len(points)
    for name, value in fields.items():
        setattr(roi, name, value)
    return roi


def float_roi(points: np.ndarray, kind: ROI_TYPE = ROI_TYPE.FREEHAND, **fields: object) -> ImagejRoi:
    points = np.asarray(points, dtype=np.float32)
    roi = ImagejRoi(roitype=kind, options=ROI_OPTIONS.SUB_PIXEL_RESOLUTION, n_coordinates=len(points))
    low = np.floor(points.min(0)).astype(int)
    roi.left, roi.top = low.tolist()
    roi.right, roi.bottom = np.ceil(points.max(0)).astype(int).tolist()
    roi.integer_coordinates = np.floor(points - low).astype(np.int32)
    roi.subpixel_coordinates = points
    for name, value in fields.items():
        setattr(roi, name, value)
    return roi


def bounds_roi(kind: ROI_TYPE, left: float, top: float, width: float, height: float, **fields) -> ImagejRoi:
    roi = ImagejRoi(roitype=kind, left=int(left), top=int(top))
    roi.right, roi.bottom = int(np.ceil(left + width)), int(np.ceil(top + height))
    if any(value != int(value) for value in (left, top, width, height)):
        roi.options = ROI_OPTIONS.SUB_PIXEL_RESOLUTION
        roi.xd, roi.yd, roi.widthd, roi.heightd = left, top, width, height
    for name, value in fields.items():
        setattr(roi, name, value)
    return roi


def path_roi(*commands: Sequence[float], **fields: object) -> ImagejRoi:
    values = np.array([value for command in commands for value in command], dtype=np.float32)
    roi = ImagejRoi(roitype=ROI_TYPE.RECT, shape_roi_size=len(values), multi_coordinates=values)
    for name, value in fields.items():
        setattr(roi, name, value)
    return roi


def composite(mask: np.ndarray) -> ImagejRoi:
    commands: list[Sequence[float]] = []
    for points in rings(mask):
        commands += [(0.0, *points[0]), *((1.0, *point) for point in points[1:]), (4.0,)]
    return path_roi(*commands)


def one_roi(roi: ImagejRoi) -> Write:
    return data("a.roi", roi.tobytes())


def roi_zip(*rois: ImagejRoi, more: dict[str, bytes] | None = None) -> Write:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, roi in enumerate(rois):
            archive.writestr(f"{number:04d}-0001.roi", roi.tobytes())
        for name, content in (more or {}).items():
            archive.writestr(name, content)
    return data("a.zip", file.getvalue())


# QuPath


def feature(coordinates: object, kind: str = "Polygon", name: object = "cell", **more: object) -> dict:
    properties = {"objectType": more.pop("objectType", "annotation")}
    if name is not None:
        properties["classification"] = {"name": name, "color": [200, 0, 0]} if isinstance(name, str) else name
    geometry = {"type": kind, "coordinates": coordinates, **more.pop("geometry", {})}
    return {"type": "Feature", "id": "0b5e", "geometry": geometry, "properties": properties, **more}


def closed(mask: np.ndarray) -> list[list[list[int]]]:
    return [[*points.tolist(), points[0].tolist()] for points in rings(mask)]


def collection(*features: dict) -> dict:
    return {"type": "FeatureCollection", "features": list(features)}


# Label Studio


def percent(points: np.ndarray) -> list[list[float]]:
    return (np.asarray(points, dtype=float) * (100 / W, 100 / H)).tolist()


def region(value: dict, number: int = 0, kind: str = "polygonlabels", **more: object) -> dict:
    frame = dict(original_width=W, original_height=H, image_rotation=0)
    return {
        "id": f"r{number}",
        "type": kind,
        "from_name": "label",
        "to_name": "image",
        **frame,
        "value": value,
    } | more


def ls_polygon(mask: np.ndarray, number: int = 0, label: str = "cell") -> dict:
    return region(dict(points=percent(ring(mask)), closed=True, polygonlabels=[label]), number)


def brush_rle(alpha: np.ndarray) -> list[int]:
    """rle-pack of RGBA samples: words of 8 bits, run lengths of 3, 4, 8 or 16, as in the browser."""
    samples = np.zeros((*alpha.shape, 4), dtype=np.uint8)
    samples[..., 3] = alpha
    sizes = [3, 4, 8, 16]
    bits = [f"{samples.size:032b}", f"{7:05b}", *(f"{size - 1:04b}" for size in sizes)]

    def length(number: int) -> str:
        which = next(i for i, size in enumerate(sizes) if number - 1 < 2**size)
        return f"{which:02b}{number - 1:0{sizes[which]}b}"

    single: list[int] = []

    def flush() -> None:
        for start in range(0, len(single), 2**16):
            part = single[start : start + 2**16]
            bits.append("0" + length(len(part)) + "".join(f"{value:08b}" for value in part))
        single.clear()

    for value, group in groupby(samples.ravel().tolist()):
        number = sum(1 for _ in group)
        if number == 1:
            single.append(value)
            continue
        flush()
        for start in range(0, number, 2**16):
            bits.append("1" + length(min(2**16, number - start)) + f"{value:08b}")
    flush()
    stream = "".join(bits)
    stream += "0" * (-len(stream) % 8)
    return [int(stream[i : i + 8], 2) for i in range(0, len(stream), 8)]


def ls_brush(mask: np.ndarray, number: int = 0, label: str = "cell") -> dict:
    value = dict(format="rle", rle=brush_rle(mask * np.uint8(255)), brushlabels=[label])
    return region(value, number, "brushlabels")


def task(*results: dict, image: str = "/data/upload/3/1a2b3c4d-plate%201.png", **more: object) -> dict:
    annotation = dict(id=7, completed_by=1, result=list(results), was_cancelled=False, ground_truth=False)
    return {"id": 5, "annotations": [annotation], "data": {"image": image}, "predictions": []} | more


# CVAT


def cvat(*shapes: str, image: str = 'name="day 1/a.png"', size: str = f'width="{W}" height="{H}"') -> str:
    body = "".join(shapes)
    meta = "<meta><task><id>1</id><labels><label><name>cell</name></label></labels></task></meta>"
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version>'
        f'{meta}<image id="0" {image} {size}>{body}</image></annotations>\n'
    )


def cvat_polygon(mask: np.ndarray, label: str = "cell", more: str = "") -> str:
    points = ";".join(f"{x:.2f},{y:.2f}" for x, y in ring(mask))
    return f'<polygon label="{label}" source="manual" points="{points}" z_order="0" {more}></polygon>'


def cvat_mask(mask: np.ndarray, label: str = "cell") -> str:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    part = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    runs = [len(list(group)) for _, group in groupby(part.ravel().tolist())]
    runs = runs if not part.flat[0] else [0, *runs]
    place = f'left="{columns[0]}" top="{rows[0]}" width="{part.shape[1]}" height="{part.shape[0]}"'
    return (
        f'<mask label="{label}" source="semi-auto" occluded="0" rle="{", ".join(map(str, runs))}" {place} />'
    )


# LabelMe


def labelme(*shapes: dict, **more: object) -> dict:
    start = dict(
        version="5.5.0", flags={}, shapes=list(shapes), imagePath="..\\images\\a.png", imageData=None
    )
    return start | dict(imageHeight=H, imageWidth=W) | more


def lm_shape(points: object, kind: str = "polygon", label: str = "cell", **more: object) -> dict:
    points = points.tolist() if isinstance(points, np.ndarray) else points
    start = dict(
        label=label, points=points, group_id=None, description="", shape_type=kind, flags={}, mask=None
    )
    return start | more


def png_text(mask: np.ndarray, packed: bool = False) -> str:
    content = cv2.imencode(".png", mask.astype(np.uint8) * 255)[1].tobytes()
    return base64.b64encode(zlib.compress(content) if packed else content).decode()


def cropped(mask: np.ndarray) -> tuple[np.ndarray, int, int]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], int(rows[0]), int(columns[0])


def lm_mask(mask: np.ndarray, label: str = "cell") -> dict:
    part, top, left = cropped(mask)
    corners = [[left, top], [left + part.shape[1] - 1, top + part.shape[0] - 1]]
    return lm_shape(corners, "mask", label, mask=png_text(part))


# Supervisely


def supervisely(*objects: dict) -> dict:
    return dict(description="", tags=[], size=dict(height=H, width=W), objects=list(objects))


def sly_bitmap(mask: np.ndarray, label: str = "cell") -> dict:
    part, top, left = cropped(mask)
    bitmap = dict(data=png_text(part, packed=True), origin=[left, top])
    return dict(geometryType="bitmap", classTitle=label, bitmap=bitmap)


# YOLO


def yolo_line(number: int, mask: np.ndarray) -> str:
    points = ring(mask) / (W, H)
    return " ".join([str(number), *(f"{value:.9f}" for value in points.ravel())])


# napari


def napari(*shapes: tuple[str, np.ndarray], axes: int = 2) -> str:
    """Shapes of (type, vertices in the order of the axes)."""
    file = io.StringIO()
    rows = csv.writer(file)
    rows.writerow(["index", "shape-type", "vertex-index", *(f"axis-{i}" for i in range(axes))])
    for number, (kind, vertices) in enumerate(shapes):
        for place, vertex in enumerate(np.asarray(vertices, dtype=float).tolist()):
            rows.writerow([float(number), kind, float(place), *vertex])
    return file.getvalue()


def napari_ring(mask: np.ndarray, *before: float) -> np.ndarray:
    vertices = ring(mask)[:, ::-1] - 0.5
    return np.concatenate([np.tile(before, (len(vertices), 1)), vertices], axis=1)


# Aperio and ASAP


def vertices(points: np.ndarray) -> str:
    rows = (f'<Vertex X="{float(x)}" Y="{float(y)}" Z="0"/>' for x, y in points)
    return f"<Vertices>{''.join(rows)}</Vertices>"


def aperio_region(points: np.ndarray, number: int, more: str = 'Type="0" NegativeROA="0"') -> str:
    return f'<Region Id="{number}" {more} Text=""><Attributes/>{vertices(points)}</Region>'


def aperio(*regions: str, name: str = "", attribute: str = "Description") -> str:
    return (
        '<?xml version="1.0"?><Annotations MicronsPerPixel="0.252"><Annotation Id="1" '
        f'Name={quoteattr(name)} LineColor="65280"><Attributes><Attribute Name="{attribute}" Id="0" '
        'Value=""/></Attributes><Regions><RegionAttributeHeaders><AttributeHeader Name="Length"/>'
        f"</RegionAttributeHeaders>{''.join(regions)}</Regions><Plots/></Annotation></Annotations>"
    )


def asap(*annotations: tuple[str, str, np.ndarray]) -> str:
    """Annotations of (type, group, points)."""
    body = ""
    for number, (kind, group, points) in enumerate(annotations):
        rows = "".join(
            f'<Coordinate Order="{i}" X="{x}" Y="{y}" />' for i, (x, y) in list(enumerate(points))[::-1]
        )
        body += (
            f'<Annotation Name="Annotation {number}" Type="{kind}" PartOfGroup="{group}" Color="#F4FA58">'
            f"<Coordinates>{rows}</Coordinates></Annotation>"
        )
    groups = '<AnnotationGroups><Group Name="tumor" PartOfGroup="None" Color="#00ff00"/></AnnotationGroups>'
    return (
        f'<?xml version="1.0"?><ASAP_Annotations><Annotations>{body}</Annotations>{groups}</ASAP_Annotations>'
    )


# VIA


def via_shape(points: np.ndarray) -> dict:
    return dict(name="polygon", all_points_x=points[:, 0].tolist(), all_points_y=points[:, 1].tolist())


def via(*regions: tuple[dict, dict], as_dict: bool = False) -> dict:
    found: object = [dict(shape_attributes=shape, region_attributes=names) for shape, names in regions]
    if as_dict:
        found = {str(i): one for i, one in enumerate(found)}
    return {"a.png1234": dict(filename="a.png", size=1234, regions=found, file_attributes={})}


def via_csv(*regions: tuple[dict, dict], first: str = "filename") -> str:
    file = io.StringIO()
    rows = csv.writer(file)
    rows.writerow(
        [first, "file_size", "file_attributes", "region_count", "region_id"]
        + ["region_shape_attributes", "region_attributes"]
    )
    for number, (shape, names) in enumerate(regions):
        rows.writerow(["a.png", 1234, "{}", len(regions), number, json.dumps(shape), json.dumps(names)])
    return file.getvalue()


# Cellpose and label images


def label_of(masks: Sequence[np.ndarray]) -> np.ndarray:
    label = np.zeros((H, W), dtype=np.uint16)
    for number, mask in enumerate(masks, start=1):
        label[mask] = number
    return label


def without_overlap(masks: Sequence[np.ndarray]) -> list[np.ndarray]:
    label = label_of(masks)
    return [label == number for number in range(1, len(masks) + 1)]


def seg_npy(name: str = "a_seg.npy", **more: object) -> Write:
    label = label_of(SOLID)
    content = dict(
        outlines=label * 0,
        masks=label,
        chan_choose=[0, 0],
        ismanual=np.zeros(2, bool),
        filename="C:\\plates\\a.tif",
        flows=[np.zeros((1, H, W, 3), np.uint8), [], np.float32(0.5)],
        est_diam=np.float64(17.25),
        colors=np.asfortranarray(np.arange(6, dtype=">i4").reshape(2, 3)),
    )

    def write(folder: Path) -> Path:
        np.save(folder / name, content | more)
        return folder / name

    return write


A_PATH = pathlib.PurePosixPath("/plates/a.tif")


def tiff(name: str, image: np.ndarray, **options: object) -> Write:
    def write(folder: Path) -> Path:
        tifffile.imwrite(folder / name, image, **options)
        return folder / name

    return write


# COCO


def coco(*annotations: dict, **more: object) -> dict:
    images = [dict(id=4, file_name="a.png", height=H, width=W)]
    numbered = [
        dict(id=i, image_id=4, category_id=1, iscrowd=0) | annotation
        for i, annotation in enumerate(annotations, start=1)
    ]
    categories = [dict(id=1, name="cell"), dict(id=2, name="nucleus")]
    return dict(images=images, annotations=numbered, categories=categories) | more


def coco_rle(mask: np.ndarray) -> dict:
    encoded = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return dict(size=[H, W], counts=encoded["counts"].decode())
