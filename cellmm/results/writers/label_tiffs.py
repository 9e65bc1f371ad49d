"""Label images as OME-TIFF, for Fiji, napari, CellProfiler and ilastik."""

from collections import Counter
from pathlib import Path

from cellmm.io.label_tiff import write_label_tiff
from cellmm.io.sources import ImageSource
from cellmm.registry import WRITERS
from cellmm.results.instances import Instances
from cellmm.results.writers.base import readable

COVERED = "pixels of cells below cells with a better score (layers, coco, rois and geojson keep them)"


@WRITERS.register_module()
class LayeredTiffWriter:
    """Label images as the channels of an OME-TIFF; overlap is kept, as cells that overlap are on several.

    Channels, not focal planes: viewers show several channels at once, each in a colour of its own.
    ``cellmm.io.layered_tiff.read_label_layers`` reads them.
    """

    option = "layers"
    folder = "layers"
    suffix = ".ome.tif"

    def write(self, path: Path, instances: Instances, source: ImageSource | None) -> Counter[str]:
        _write(path, instances, instances.in_layers())
        return Counter()


@WRITERS.register_module()
class LabelTiffWriter:
    """One label image per image as OME-TIFF; where cells overlap, the best score is on top.

    Of equal scores, the first cell is on top.
    """

    option = "labels"
    folder = "labels"
    suffix = ".ome.tif"

    def write(self, path: Path, instances: Instances, source: ImageSource | None) -> Counter[str]:
        painted = _write(path, instances, [instances.by_score()])
        return Counter({COVERED: int(instances.masks.areas().sum()) - painted})


def _write(path: Path, instances: Instances, pages: list) -> int:
    return write_label_tiff(
        path, pages, num_cells=len(instances), pixel_size=instances.pixel_size, name=readable(instances.name)
    )
