"""What a report says about one image."""

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import numpy as np

from cellmm.errors import CellMMError
from cellmm.io.files import atomic_path
from cellmm.io.sources import ImageSource
from cellmm.results.instances import Instances
from cellmm.results.report.preview import SMALL, draw_preview, to_jpeg
from cellmm.visualization import fit

NAMES = ("score", "area", "length", "width_mean", "area_overlap")
UNITS = {"area": "area_um2", "length": "length_um", "width_mean": "width_mean_um"}
KEPT = (*NAMES, *UNITS.values())


@dataclass(frozen=True)
class ReportRow:
    """One image of a report.

    Args:
        name: of the image, as in the other outputs.
        num_cells: found in it.
        measurements: of ``cellmm.results.measurements.measure``; those of ``KEPT`` are shown.
        thumbnail: a small picture, JPEG or PNG.
        picture: the picture that opens large: JPEG or PNG, or a file.
        shape: (H, W) in pixels.
        pixel_size: (y, x) in micrometres.
        error: why the image could not be used; the rest is empty then.
        warnings: lines about the image.
    """

    name: str
    num_cells: int = 0
    measurements: Mapping[str, np.ndarray] = field(default_factory=lambda: MappingProxyType({}))
    thumbnail: bytes | None = None
    picture: bytes | Path | None = None
    shape: tuple[int, int] | None = None
    pixel_size: tuple[float, float] | None = None
    error: str | None = None
    warnings: tuple[str, ...] = ()

    @classmethod
    def of_image(
        cls,
        instances: Instances,
        source: ImageSource | None,
        measurements: Mapping[str, np.ndarray],
        warnings: Sequence[str] = (),
    ) -> "ReportRow":
        """Describe and draw an image; without ``source`` there is no picture."""
        warnings, thumbnail, large = list(warnings), None, None
        if source is not None:
            try:
                picture = draw_preview(source, instances)
            except ValueError as error:
                warnings.append(f"there is no picture: {error}")
            else:
                large, thumbnail = to_jpeg(picture), to_jpeg(fit(picture, SMALL))
        return cls(
            name=instances.name,
            num_cells=len(instances),
            measurements={name: measurements[name] for name in KEPT if name in measurements},
            thumbnail=thumbnail,
            picture=large,
            shape=instances.shape,
            pixel_size=instances.pixel_size,
            warnings=tuple(warnings),
        )

    def save(self, path: Path) -> None:
        """Write an .npz file for ``load``; the picture has to be bytes or None."""
        values = {
            "name": np.array(self.name),
            "num_cells": np.array(self.num_cells),
            "thumbnail": np.frombuffer(self.thumbnail or b"", np.uint8),
            "picture": np.frombuffer(self.picture or b"", np.uint8),
            "shape": np.array(self.shape or (), np.int64),
            "pixel_size": np.array(self.pixel_size or (), np.float64),
            "error": np.array(self.error or ""),
            "warnings": np.array(self.warnings, dtype=str),
        }
        with atomic_path(path) as tmp:
            np.savez(tmp, **values, **{f"column {name}": v for name, v in self.measurements.items()})

    @classmethod
    def load(cls, path: Path) -> "ReportRow":
        """What ``save`` wrote.

        Raises:
            CellMMError: not such a file.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                values = dict(file)
            return cls(
                name=str(values["name"]),
                num_cells=int(values["num_cells"]),
                measurements={
                    name.removeprefix("column "): column
                    for name, column in values.items()
                    if name.startswith("column ")
                },
                thumbnail=values["thumbnail"].tobytes() or None,
                picture=values["picture"].tobytes() or None,
                shape=tuple(values["shape"].tolist()) or None,
                pixel_size=tuple(values["pixel_size"].tolist()) or None,
                error=str(values["error"]) or None,
                warnings=tuple(values["warnings"].tolist()),
            )
        except (KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise CellMMError(
                f"{path} is not a part of a report ({error}): predict the image again"
            ) from error
