"""The nuclei of the cells, from a file with the ids of the cells."""

import logging

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.logging import print_log

from cellmm.datasets.transforms.moving_cells import cell_pixels, pixel_means
from cellmm.errors import CellMMError
from cellmm.io.layered_tiff import read_ids
from cellmm.registry import TRANSFORMS
from cellmm.structures import LabelLayers


@TRANSFORMS.register_module()
class LoadNuclei(BaseTransform):
    """Read ``nuclei_path`` into ``gt_nuclei``, LabelLayers: id i + 1 is the nucleus of cell i (from 0).

    The file is a label image (H, W) or a TIFF whose pages are layers, in which a nucleus has the number of
    its cell. For cells from a label image that is their number there, gaps included; masks and COCO
    annotations of an image count from 1 in their order. A cell may have no nucleus. After LoadCells and
    before anything that moves pixels.

    A nucleus belongs in its cell. If the centroids of more than half of an image's nuclei lie outside the
    cell with their number, the numbering is wrong: CellMMError. If fewer do, a warning says so once per
    process.

    ``keep_original``: also ``eval_nuclei``, a list of RLEs of the original frame, one per cell, for test
    pipelines.
    """

    reads = ("nuclei_path", "gt_layers", "img_shape", "ori_shape")
    writes = ("gt_nuclei", "eval_nuclei")
    annotation_only = True
    warned = False

    def __init__(self, *, keep_original: bool = False) -> None:
        self.keep_original = keep_original
        self._numbers: dict[str, np.ndarray] = {}

    def transform(self, results: dict) -> dict:
        if "gt_layers" not in results or results["img_shape"] != results["ori_shape"]:
            raise CellMMError("LoadNuclei has to come right after LoadCells in the pipeline")
        if "nuclei_path" not in results:
            raise CellMMError(
                f"{results['img_path']} has no nuclei_path: set nuclei_dir of the dataset "
                "(SimulatedDataset: nuclei=True), or leave LoadNuclei out"
            )
        path, cells = results["nuclei_path"], results["gt_layers"]
        label, found = read_ids(path)
        if found.shape != cells.shape:
            raise CellMMError(
                f"{path} is {found.shape} pixels (h, w), but its image {results['img_path']} "
                f"{cells.shape}: one of them was cropped, resized or turned, export it again"
            )
        present, numbers = _numbers(label), self._cell_numbers(results)
        if len(unknown := np.setdiff1d(present, numbers)):
            raise CellMMError(
                f"{path} holds the id {unknown[0]:.0f}, but its image has no cell of that number (it has "
                f"{len(cells)} cells): give each nucleus the number of its cell{self._how_counted(results)}"
            )
        table = np.append(0, np.searchsorted(numbers, present) + 1).astype(np.int32)
        nuclei = LabelLayers(table[found.layers], num=len(cells))
        self._check_places(path, nuclei, cells)
        results["gt_nuclei"] = nuclei
        if self.keep_original:
            results["eval_nuclei"] = results["gt_nuclei"].to_rles()
        return results

    @staticmethod
    def _how_counted(results: dict) -> str:
        if results.get("label_path") is not None:
            return ""
        return "; masks and annotations of an image count 1, 2, ... in their order, without gaps"

    def _cell_numbers(self, results: dict) -> np.ndarray:
        """The number in its file of each cell, (N,) ascending."""
        num, path = len(results["gt_layers"]), results.get("label_path")
        if path is None:
            return np.arange(1, num + 1)
        if path not in self._numbers:
            self._numbers[path] = _numbers(read_ids(path)[0])
        numbers = self._numbers[path]  # fewer: empty cells of write_layered_tiff, which keep their ids
        return numbers if len(numbers) == num else np.arange(1, num + 1)

    def _check_places(self, path: str, nuclei: LabelLayers, cells: LabelLayers) -> None:
        centroids = pixel_means(*cell_pixels(nuclei), num=len(nuclei), width=nuclei.shape[1])
        ids = np.flatnonzero(~np.isnan(centroids[:, 0]))
        y, x = np.floor(centroids[ids] + 0.5).astype(np.int64).T
        outside = int((cells.layers[:, y, x] != ids + 1).all(0).sum())
        if not outside:
            return
        text = f"{path}: {outside} of {len(ids)} nuclei lie outside the cell of their number"
        if 2 * outside > len(ids):
            raise CellMMError(f"{text}: number nuclei like their cells")
        if not LoadNuclei.warned:
            LoadNuclei.warned = True
            text += ": number nuclei like their cells; these are learned where they lie (told once)"
            print_log(text, logger="current", level=logging.WARNING)


def _numbers(label: np.ndarray) -> np.ndarray:
    """The ids of a label image, ascending."""
    return np.unique(label[label > 0])
