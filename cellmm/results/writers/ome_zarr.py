"""Label images as OME-Zarr (NGFF 0.4 and 0.5)."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from cellmm.extras import need
from cellmm.io.files import atomic_folder
from cellmm.io.sources import ImageSource
from cellmm.registry import WRITERS
from cellmm.results.instances import Instances
from cellmm.structures import paint_bands

CHUNK = 1024  # pixels a side; levels of a pyramid are added until one fits in a chunk
ZARR_FORMATS = {"0.4": 2, "0.5": 3}


@WRITERS.register_module()
class OmeZarrWriter:
    """A folder with the group ``labels``: a label image, with its pyramid, for each layer of the cells.

    Overlap is kept, as cells that overlap are in different label images. Scores and classes are properties of
    the labels.

    Args:
        version: of the format, '0.5' (Zarr 3) or '0.4' (Zarr 2).
        image: write the image's own pixels too, so that a viewer opens both at once.
    """

    option = "ome-zarr"
    folder = "ome_zarr"
    suffix = ".ome.zarr"

    def __init__(self, version: str | float = "0.5", image: bool = False) -> None:
        self.version = str(version)
        if self.version not in ZARR_FORMATS:
            raise ValueError(f"version must be one of {', '.join(ZARR_FORMATS)}, got {version}")
        self.image = image

    def write(self, path: Path, instances: Instances, source: ImageSource | None) -> Counter[str]:
        zarr = need("zarr", "zarr", "OME-Zarr files")
        scale = instances.pixel_size or (1.0, 1.0)
        unit = {} if instances.pixel_size is None else {"unit": "micrometer"}
        space = [{"name": name, "type": "space", **unit} for name in "yx"]
        pages = instances.in_layers()
        names = [f"layer_{i + 1}" for i in range(len(pages))]
        with_image = self.image and source is not None
        with atomic_folder(path) as folder:
            root = zarr.create_group(folder, zarr_format=ZARR_FORMATS[self.version])
            if with_image:
                channels = [{"name": "c", "type": "channel"}]
                shape = (source.num_channels, *source.shape)
                levels = _write_levels(root, _image_bands(source), shape, source.dtype)
                self._describe(root, instances.name, [*channels, *space], (1.0, *scale), levels)
            labels = root.create_group("labels")
            self._set(labels, {"labels": names})
            for name, (masks, ids) in zip(names, pages, strict=True):
                group = labels.create_group(name)
                bands = paint_bands(masks, ids, CHUNK)
                levels = _write_levels(group, bands, instances.shape, np.dtype(np.uint32))
                about = {"properties": _properties(instances, ids)}
                if self.version == "0.4":
                    about["version"] = "0.4"
                if with_image:
                    about["source"] = {"image": "../../"}
                self._describe(group, name, space, scale, levels, {"image-label": about})
        return Counter()

    def _describe(
        self,
        group: Any,
        name: str,
        axes: list[dict],
        scale: tuple[float, ...],
        levels: int,
        more: dict | None = None,
    ) -> None:
        """The metadata of a pyramid whose levels have half the rows and columns of the one before."""
        datasets = []
        for level in range(levels):
            steps = [*scale[:-2], *(size * 2**level for size in scale[-2:])]
            datasets.append(
                {"path": str(level), "coordinateTransformations": [{"type": "scale", "scale": steps}]}
            )
        multiscale = {"name": name, "axes": axes, "datasets": datasets}
        if self.version == "0.4":
            multiscale["version"] = "0.4"
        self._set(group, {"multiscales": [multiscale], **(more or {})})

    def _set(self, group: Any, metadata: dict) -> None:
        group.attrs.update(
            metadata if self.version == "0.4" else {"ome": {"version": self.version, **metadata}}
        )


def _properties(instances: Instances, ids: np.ndarray) -> list[dict]:
    names = instances.class_names()
    return [
        {
            "label-value": number,
            "class": names[number - 1],
            "score": round(float(instances.scores[number - 1]), 6),
        }
        for number in ids.tolist()
    ]


def _image_bands(source: ImageSource) -> Iterator[tuple[int, np.ndarray]]:
    """The image as (C, h, W), in bands of rows."""
    height, width = source.shape
    for top in range(0, height, CHUNK):
        yield top, np.moveaxis(source.read(top, 0, min(top + CHUNK, height), width), 2, 0)


def _write_levels(
    group: Any, bands: Iterator[tuple[int, np.ndarray]], shape: tuple[int, ...], dtype: np.dtype
) -> int:
    """Write a pyramid; a level has every second row and column of the one before. Returns how many levels."""
    level = 0
    while True:
        array = group.create_array(
            str(level),
            shape=shape,
            dtype=dtype,
            chunks=tuple(min(side, CHUNK) if i >= len(shape) - 2 else 1 for i, side in enumerate(shape)),
            chunk_key_encoding={
                "name": "default" if group.metadata.zarr_format == 3 else "v2",
                "separator": "/",
            },
            dimension_names=list("cyx"[-len(shape) :]) if group.metadata.zarr_format == 3 else None,
            fill_value=0,
        )
        for top, band in bands:
            array[..., top : top + band.shape[-2], :] = band
        level += 1
        if max(shape[-2:]) <= CHUNK:
            return level
        shape = (*shape[:-2], *(-(-side // 2) for side in shape[-2:]))
        bands = _halved(array, shape[-2])


def _halved(array: Any, height: int) -> Iterator[tuple[int, np.ndarray]]:
    for top in range(0, height, CHUNK):
        yield top, array[..., 2 * top : 2 * (top + CHUNK), :][..., ::2, ::2]
