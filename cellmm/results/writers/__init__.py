"""The formats of results: registered classes that write the cells of an image."""

from cellmm.results.writers.base import CollectingWriter, Writer, build_writers, options, tell_losses
from cellmm.results.writers.coco import CocoWriter
from cellmm.results.writers.csv_table import CsvWriter
from cellmm.results.writers.geojson import GeoJSONWriter
from cellmm.results.writers.html_report import ReportWriter
from cellmm.results.writers.label_tiffs import LabelTiffWriter, LayeredTiffWriter
from cellmm.results.writers.ome_zarr import OmeZarrWriter
from cellmm.results.writers.parquet_table import ParquetWriter
from cellmm.results.writers.pictures import PngWriter, SvgWriter
from cellmm.results.writers.rois import RoiWriter

__all__ = [
    "CocoWriter",
    "CollectingWriter",
    "CsvWriter",
    "GeoJSONWriter",
    "LabelTiffWriter",
    "LayeredTiffWriter",
    "OmeZarrWriter",
    "ParquetWriter",
    "PngWriter",
    "ReportWriter",
    "RoiWriter",
    "SvgWriter",
    "Writer",
    "build_writers",
    "options",
    "tell_losses",
]
