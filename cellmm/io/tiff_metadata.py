"""Pixel size and names of channels that a TIFF states: OME-XML, ImageJ, LSM, Aperio, or its resolution."""

import re
from xml.etree import ElementTree

import tifffile

from cellmm.io.file_layout import plausible

_METRIC = {  # micrometres
    "pm": 1e-6,
    "Å": 1e-4,
    "nm": 1e-3,
    "µm": 1.0,
    "mm": 1e3,
    "cm": 1e4,
    "dm": 1e5,
    "m": 1e6,
    "in": 25400.0,
}
_MICRON = {"micron", "microns", "micrometer", "micrometre", "um", "μm", "µm"}  # Greek mu and the micro sign
_APERIO = re.compile(r"\|\s*MPP\s*=\s*(\d*\.?\d+)")
_ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})")


def pixel_size(
    tiff: tifffile.TiffFile, page: tifffile.TiffPage, number: int, kind: str
) -> tuple[float, float] | None:
    """(y, x) in micrometres of this page; None where the file does not say, or means a print.

    ``number`` counts the images of the description, ``kind`` is tifffile's of the series.
    """
    if kind == "ome":
        pixels = _ome_pixels(tiff, number)
        if pixels is None:
            return None
        y, x = (_ome_length(pixels, f"PhysicalSize{axis}") for axis in "YX")
        return (y, x) if y and x else None
    if tiff.is_lsm:
        y, x = (float(tiff.lsm_metadata.get(f"VoxelSize{axis}", 0)) * 1e6 for axis in "YX")
        return (y, x) if y > 0 and x > 0 else None
    if kind == "svs":
        found = _APERIO.search(page.description)
        return plausible((float(found[1]), float(found[1]))) if found else None
    dots = [_ratio(page, f"{axis}Resolution") for axis in "YX"]
    if not all(dots):
        return None
    imagej = tiff.imagej_metadata
    if imagej is not None:
        unit = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), str(imagej.get("unit", ""))).strip()
        scale = 1.0 if unit.lower() in _MICRON else _METRIC.get(unit)
        if scale is None:
            return None
        size = scale / dots[0], scale / dots[1]
        return plausible(size) if unit == "in" else size
    centimetre = int(page.resolutionunit) == 3
    return plausible((1e4 / dots[0], 1e4 / dots[1])) if centimetre else None


def channel_names(tiff: tifffile.TiffFile, number: int, kind: str) -> tuple[str, ...]:
    """Names of the channels, empty where the file states none."""
    if kind == "ome":
        pixels = _ome_pixels(tiff, number)
        channels = () if pixels is None else [part for part in pixels if part.tag.endswith("}Channel")]
        names = tuple(channel.get("Name", "") for channel in channels)
    elif tiff.is_lsm:
        colors = tiff.lsm_metadata.get("ChannelColors") or {}
        names = tuple(str(name) for name in colors.get("ColorNames", ()))
    else:
        labels = (tiff.imagej_metadata or {}).get("Labels") or ()
        names = tuple(
            str(label).split("\n")[0] for label in ([labels] if isinstance(labels, str) else labels)
        )
    return names if any(names) else ()


def _ome_pixels(tiff: tifffile.TiffFile, number: int) -> ElementTree.Element | None:
    """The Pixels element of image ``number``; None where tifffile has left out some, as without planes."""
    images = [part for part in ElementTree.fromstring(tiff.ome_metadata) if part.tag.endswith("Image")]
    pixels = [part for image in images for part in image if part.tag.endswith("Pixels")]
    return pixels[number] if len(pixels) == len(tiff.series) else None


def _ome_length(pixels: ElementTree.Element, name: str) -> float | None:
    """A length in micrometres; None where it is absent, not positive, or in a unit without a scale."""
    scale = _METRIC.get(pixels.get(f"{name}Unit", "µm").replace("μ", "µ"))
    try:
        value = float(pixels.get(name, "nan"))
    except ValueError:
        return None
    return value * scale if scale and 0 < value < float("inf") else None


def _ratio(page: tifffile.TiffPage, name: str) -> float:
    tag = page.tags.get(name)
    if tag is None:
        return 0.0
    value = tag.value if isinstance(tag.value, tuple) else (tag.value, 1)
    return float(value[0]) / float(value[1]) if value[1] else 0.0
