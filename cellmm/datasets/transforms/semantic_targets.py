"""Maps of what each pixel shows: the targets of semantic heads."""

from collections.abc import Sequence

from mmcv.transforms import BaseTransform

from cellmm.datasets.transforms.moving_cells import ignore_crowd, learned_cells
from cellmm.errors import CellMMError
from cellmm.registry import TRANSFORMS
from cellmm.structures import SEMANTIC_NAMES, LabelLayers, semantic_maps


@TRANSFORMS.register_module()
class SemanticTargets(BaseTransform):
    """Write ``gt_semantic``: a dict with a map of 0 and 1, uint8 (H, W), for each of ``targets``.

    Reads ``gt_layers`` and, for 'nuclei', ``gt_nuclei``. ``semantic_maps`` defines the maps. Where cells end
    in crowd regions (``gt_ignore``) is not known: they are not taken for cells, and their pixels become
    ``ignore``. After everything that moves pixels, and after ReferencePoints and DiskTargets, which take
    cells next to ``ignore`` for cut. Maps that a transform of your own put into ``gt_semantic`` stay.
    sparseseunet 4.2.2, 4.3.

    Args:
        targets: among cytoplasm, nuclei, border, background, overlap.
        border_width: px; see ``cell_borders``.

    Raises CellMMError where the pipeline has no LoadNuclei for 'nuclei'.
    """

    reads = ("gt_layers",)
    writes = ("gt_semantic", "ignore")
    annotation_only = True

    def __init__(self, *, targets: Sequence[str] = ("cytoplasm",), border_width: int = 2) -> None:
        if not targets:
            raise CellMMError(f"SemanticTargets: targets is empty, choose from {SEMANTIC_NAMES}")
        self.targets, self.border_width = tuple(targets), border_width
        none = LabelLayers.empty(1, 1)  # a wrong argument fails here, not in a worker
        semantic_maps(none, none, self.targets, border_width=border_width)

    def transform(self, results: dict) -> dict:
        cells, nuclei, crowd = learned_cells(results)
        maps = semantic_maps(cells, nuclei, self.targets, border_width=self.border_width)
        results["gt_semantic"] = results.get("gt_semantic", {}) | maps
        return ignore_crowd(results, crowd)
