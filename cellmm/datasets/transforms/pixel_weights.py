"""How much each pixel counts in the loss of a map."""

import numpy as np
from mmcv.transforms import BaseTransform

from cellmm.datasets.transforms.moving_cells import learned_cells
from cellmm.errors import CellMMError
from cellmm.registry import TRANSFORMS
from cellmm.structures import LabelLayers, separation_weight
from cellmm.structures.semantic_maps import near_contour


@TRANSFORMS.register_module()
class PixelWeights(BaseTransform):
    """Write ``gt_weight``, float32 (H, W): U-Net's weights, w_c + w0 exp(-(d1 + d2)^2 / (2 sigma^2)).

    The second term, see ``separation_weight``, is high where cells are close. w_c balances pixels of cells
    and of none: in an image of n pixels, those n_c of a class weigh n / (2 n_c), at most ``most``, so that
    both weigh as much in sum; without ``balance`` it is 1. U-Net says that w_c balances the classes, not
    how. ``outline`` is added near the border between cells and background, which U-Net does not weigh: with
    ``w0=0, balance=False``, other pixels weigh 1. Crowd regions count as no cells. A head with
    ``weighted=True`` takes the weights. After everything that moves pixels. Source: U-Net (section 2).

    Args:
        w0, sigma: of the second term; sigma in px.
        balance: weigh the classes.
        most: of a class that covers few pixels.
        outline: added to pixels at most ``outline_reach`` px (Euclid) from one of the other kind, cell or
            background; not published.
        outline_reach: px.
    """

    reads = ("gt_layers",)
    writes = ("gt_weight",)
    annotation_only = True

    def __init__(
        self,
        *,
        w0: float = 10.0,
        sigma: float = 5.0,
        balance: bool = True,
        most: float = 10.0,
        outline: float = 0.0,
        outline_reach: int = 2,
    ) -> None:
        if not most >= 1:
            raise CellMMError(f"PixelWeights: most is {most}, a weight from 1 is needed")
        if not 0 <= outline < np.inf or outline_reach < 1 or int(outline_reach) != outline_reach:
            raise CellMMError(
                f"PixelWeights: outline {outline}, outline_reach {outline_reach}; a weight from 0 and whole "
                "pixels from 1 are needed"
            )
        self.outline, self.outline_reach = outline, int(outline_reach)
        separation_weight(LabelLayers.empty(1, 1), w0=w0, sigma=sigma)  # refuses wrong arguments
        self.w0, self.sigma, self.balance, self.most = w0, sigma, balance, most

    def transform(self, results: dict) -> dict:
        cells, _, _ = learned_cells(results)
        weight = separation_weight(cells, w0=self.w0, sigma=self.sigma)
        if self.balance:
            weight += self._class_weights(cells.covered())
        else:
            weight += 1
        if self.outline:
            weight += self.outline * near_contour(cells.covered().view(np.uint8), self.outline_reach)
        results["gt_weight"] = weight
        return results

    def _class_weights(self, covered: np.ndarray) -> np.ndarray:
        counts = np.bincount(covered.ravel(), minlength=2)
        return np.minimum(covered.size / (2 * np.maximum(counts, 1)), self.most)[covered.view(np.uint8)]
