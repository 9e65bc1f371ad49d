"""Maps of the contours of cells: the targets of boundary and three-class networks."""

import numpy as np
from mmcv.transforms import BaseTransform

from cellmm.datasets.transforms.moving_cells import ignore_crowd, learned_cells
from cellmm.errors import CellMMError
from cellmm.registry import TRANSFORMS
from cellmm.structures import LabelLayers, boundary_bell, cell_boundaries, cell_cuts

KINDS = ("boundary", "cuts", "bell")


@TRANSFORMS.register_module()
class BoundaryTargets(BaseTransform):
    """Add ``boundary`` to ``gt_semantic`` and, where it is 0 or 1, ``interior`` and ``exterior``.

    ``boundary`` by ``kind``; each straddles the contour, half of ``width`` on either side:

    - 'boundary': uint8 (H, W), all contours, see ``cell_boundaries``;
    - 'cuts': uint8, only where two cells touch, see ``cell_cuts``;
    - 'bell': float32 in [0, 1], a Gaussian of the distance to the contour, see ``boundary_bell``.

    ``interior``, uint8: pixels of cells that are no boundary; ``exterior``: pixels of no cell that are none.
    With ``boundary`` they are three exclusive classes. Crowd regions are treated as in SemanticTargets, and
    the maps of other steps stay in ``gt_semantic``. After everything that moves pixels. Source: nuclei-notes.

    Args:
        kind: 'boundary', 'cuts' or 'bell'.
        width: px, even, from 2; of the widest boundary in a bell.
        sigma: px, of a bell.
    """

    reads = ("gt_layers",)
    writes = ("gt_semantic", "ignore")
    annotation_only = True

    def __init__(self, *, kind: str = "boundary", width: int = 2, sigma: float = 2.0) -> None:
        if kind not in KINDS:
            raise CellMMError(f"BoundaryTargets: kind is {kind!r}, one of {KINDS} is allowed")
        self.kind, self.width, self.sigma = kind, width, sigma
        self._maps(LabelLayers.empty(1, 1))  # a wrong argument fails here, not in a worker

    def transform(self, results: dict) -> dict:
        cells, _, crowd = learned_cells(results)
        results["gt_semantic"] = results.get("gt_semantic", {}) | self._maps(cells)
        return ignore_crowd(results, crowd)

    def _maps(self, cells: LabelLayers) -> dict[str, np.ndarray]:
        if self.kind == "bell":
            return dict(boundary=boundary_bell(cells, width=self.width, sigma=self.sigma))
        found = cell_cuts if self.kind == "cuts" else cell_boundaries
        boundary, covered = found(cells, width=self.width), cells.covered()
        maps = dict(interior=covered & ~boundary, boundary=boundary, exterior=~covered & ~boundary)
        return {name: values.view(np.uint8) for name, values in maps.items()}
