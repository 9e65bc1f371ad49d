"""How likely cells overlap at each pixel: the five maps with which overlap is learned."""

import numpy as np
from mmcv.transforms import BaseTransform

from cellmm.datasets.transforms.moving_cells import cell_pixels, learned_cells, pixel_means
from cellmm.errors import CellMMError
from cellmm.registry import TRANSFORMS
from cellmm.structures import LabelLayers, cell_borders
from cellmm.structures.distances import distances_to

KINDS = ("v0", "v1", "v2", "v3", "v4")
NEEDS_NUCLEI = ("v0", "v1", "v3")


@TRANSFORMS.register_module()
class ProximityMap(BaseTransform):
    """Write ``gt_proximity``, P, float32 (H, W) in [0, 1]: how likely cells overlap at each pixel.

    P(x) = p(x) on pixels x of cells and b on all others, b being ``background``. p by ``kind``, where
    c_i is the centroid of the nucleus of cell i, or of the cell itself where it has none:

    - v0, nuclei within cell: p(x) = max over the cells i that cover x of |x - c_i| / max_{y in i} |y - c_i|;
      0 on nuclei.
    - v1, nuclei over all: p(x) = d_N(x) / max_y d_N(y), d_N the distance to the nearest c_i of any cell (to
      its pixel), y all pixels of cells; 0 on nuclei. The thesis merges the maps of all cells by their
      maximum, without bounds of the cells. Of maps that rise with the distance the maximum would follow the
      farthest nucleus, high nearly everywhere; we follow the nearest one.
    - v2, overlap-relaxed: p(x) = 1 - d_O(x) / ``reach``, at least 0, d_O the distance to the nearest pixel of
      two or more cells; 0 where there is none in the image.
    - v3, merged: the larger of v1 and v2; a nucleus near an overlap has the value of v2.
    - v4, border-based: p(x) = 1 - log(1 + d_E(x)) / log(1 + D), d_E the distance to the nearest outline of
      any cell and D the largest d_E on cells. Outline: pixels of a cell with one of another cell or the
      background among their four neighbours, on each layer, so that crossing cells have outlines inside each
      other. The nearest of all outlines is the maximum over the cells of (4.4), the logarithm its log
      scaling. 0 without any outline.

    A p of 0 / 0 (cells of one pixel, say) is 0 in v0 and v1, and 1 in v4, where all pixels are outline.
    Crowd regions (``gt_ignore``) count as no cells. Distances come from one Euclidean transform of the image,
    whatever the number of cells. Reads ``gt_layers`` and, for v0, v1 and v3, ``gt_nuclei``. After everything
    that moves pixels. sparseseunet 4.3 (4.3, 4.4, figure 4.7), 5.4 (figure 5.2).

    Args:
        kind: 'v0' to 'v4'.
        background: b, from 0 to 1.
        reach: px, of v2 and v3.

    Raises CellMMError where the pipeline has no LoadNuclei for v0, v1 and v3.
    """

    reads = ("gt_layers",)
    writes = ("gt_proximity",)
    annotation_only = True

    def __init__(self, *, kind: str = "v4", background: float = 0.1, reach: float = 32.0) -> None:
        if kind not in KINDS:
            raise CellMMError(f"ProximityMap: kind is {kind!r}, one of {KINDS} is allowed")
        if not 0 <= background <= 1:
            raise CellMMError(f"ProximityMap: background is {background}, 0 to 1 is allowed")
        if not reach > 0:
            raise CellMMError(f"ProximityMap: reach is {reach}, a number of pixels above 0 is needed")
        self.kind, self.background, self.reach = kind, background, reach

    def transform(self, results: dict) -> dict:
        cells, nuclei, _ = learned_cells(results)
        if self.kind in NEEDS_NUCLEI and nuclei is None:
            raise CellMMError(
                f"ProximityMap(kind={self.kind!r}) needs nuclei: put LoadNuclei after LoadCells in the "
                "pipeline (nuclei_dir of the dataset), or choose kind 'v2' or 'v4'"
            )
        p = np.zeros(cells.shape, np.float32)
        if self.kind == "v0":
            p = within_cells(cells, nuclei)
        if self.kind in ("v1", "v3"):
            p = over_all(cells, nuclei)
        if self.kind in ("v2", "v3"):
            p = np.maximum(p, near_overlaps(cells, self.reach))
        if self.kind == "v4":
            p = near_outlines(cells)
        results["gt_proximity"] = np.where(cells.covered(), p, np.float32(self.background))
        return results


def centres(
    cells: LabelLayers, nuclei: LabelLayers, own: tuple[np.ndarray, np.ndarray] | None = None
) -> np.ndarray:
    """float64 (N, 2): (y, x) of the centroid of each cell's nucleus, of the cell where it has none.

    ``own``: ``cell_pixels(cells)``, where it is known. A cell without pixels and nucleus has nan.
    """
    num, width = len(cells), cells.shape[1]
    yx = pixel_means(*cell_pixels(nuclei), num, width)
    missing = np.isnan(yx[:, 0])
    if missing.any():
        pixels, ids = own or cell_pixels(cells)
        wanted = np.flatnonzero(np.concatenate([[False], missing]).take(ids))
        yx[missing] = pixel_means(pixels.take(wanted), ids.take(wanted), num, width)[missing]
    return yx


def within_cells(cells: LabelLayers, nuclei: LabelLayers) -> np.ndarray:
    """p of v0, float32 (H, W); 0 outside of cells."""
    pixels, ids = cell_pixels(cells)
    cy, cx = np.vstack([np.zeros((1, 2)), centres(cells, nuclei, (pixels, ids))]).T.astype(np.float32)
    places = np.divmod(pixels.astype(np.int32), np.int32(cells.shape[1]))
    y, x = (place.astype(np.float32) for place in places)
    squares = (y - cy.take(ids)) ** 2 + (x - cx.take(ids)) ** 2
    farthest = np.zeros(len(cells) + 1, np.float32)
    np.maximum.at(farthest, ids, squares)
    farthest[farthest == 0] = 1
    squares /= farthest.take(ids)
    p = np.zeros(cells.shape, np.float32)
    np.maximum.at(p.reshape(-1), pixels, squares)
    p[nuclei.covered()] = 0
    return np.sqrt(p)


def over_all(cells: LabelLayers, nuclei: LabelLayers) -> np.ndarray:
    """p of v1, float32 (H, W); 0 outside of cells."""
    yx = centres(cells, nuclei)
    y, x = np.floor(yx[~np.isnan(yx[:, 0])] + 0.5).astype(np.int64).T
    found = np.zeros(cells.shape, bool)
    found[y, x] = True
    if not found.any():
        return np.zeros(cells.shape, np.float32)
    p = distances_to(found) * cells.covered()
    p /= p.max() or 1
    p[nuclei.covered()] = 0
    return p


def near_overlaps(cells: LabelLayers, reach: float) -> np.ndarray:
    """p of v2, float32 (H, W); 0 outside of cells."""
    overlap = cells.overlap()
    if not overlap.any():
        return np.zeros(cells.shape, np.float32)
    p = 1 - distances_to(overlap) / np.float32(reach)
    return np.maximum(p, 0) * cells.covered()


def near_outlines(cells: LabelLayers) -> np.ndarray:
    """p of v4, float32 (H, W); 0 outside of cells."""
    outlines, covered = cell_borders(cells, width=1), cells.covered()
    if not outlines.any():
        return np.zeros(cells.shape, np.float32)
    scaled = np.log1p(distances_to(outlines) * covered)
    return (1 - scaled / (scaled.max() or 1)) * covered
