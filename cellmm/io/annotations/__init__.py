"""Annotations as other programs save them: each format has a reader of its own."""

from cellmm.io.annotations.base import AnnotatedCell, AnnotationReader, ImageAnnotation
from cellmm.io.annotations.cellpose_seg import CellposeReader
from cellmm.io.annotations.coco import CocoReader
from cellmm.io.annotations.cvat import CvatReader
from cellmm.io.annotations.fiji_roi import FijiRoiReader
from cellmm.io.annotations.find import annotation_readers, find_reader
from cellmm.io.annotations.geojson import GeoJSONReader
from cellmm.io.annotations.label_image import LabelImageReader
from cellmm.io.annotations.label_studio import LabelStudioReader
from cellmm.io.annotations.labelme import LabelMeReader
from cellmm.io.annotations.napari_shapes import NapariShapesReader
from cellmm.io.annotations.pathology_xml import AperioReader, AsapReader
from cellmm.io.annotations.pixels import cell_runs, to_rle
from cellmm.io.annotations.supervisely import SuperviselyReader
from cellmm.io.annotations.via import ViaReader
from cellmm.io.annotations.yolo import YoloReader, read_yolo

__all__ = [
    "AnnotatedCell",
    "AnnotationReader",
    "AperioReader",
    "AsapReader",
    "CellposeReader",
    "CocoReader",
    "CvatReader",
    "FijiRoiReader",
    "GeoJSONReader",
    "ImageAnnotation",
    "LabelImageReader",
    "LabelMeReader",
    "LabelStudioReader",
    "NapariShapesReader",
    "SuperviselyReader",
    "ViaReader",
    "YoloReader",
    "annotation_readers",
    "cell_runs",
    "find_reader",
    "read_yolo",
    "to_rle",
]
