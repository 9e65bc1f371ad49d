"""A random crop that shows no more cells than a model can find."""

import numpy as np
from mmcv.transforms import BaseTransform

from cellmm.checks import check_whole
from cellmm.datasets.transforms.geometry import crop
from cellmm.datasets.transforms.mmdet.arguments import pair, training_rng
from cellmm.errors import CellMMError
from cellmm.registry import TRANSFORMS

SHRINK = 0.8  # of the sides, where the places that were tried show too many cells


@TRANSFORMS.register_module()
class LimitedCrop(BaseTransform):
    """Keep a random rectangle of the image with at most ``max_cells`` cells, cut ones and crowd regions too.

    ``tries`` places of ``crop_size`` are drawn; if all show more cells, places of sides that are a fifth
    shorter, and so on. A side of the image that is shorter than the crop is kept whole at first. Source:
    sparseseunet 5.7, whose model has 100 queries and was trained on crops of at most 90 cells.

    Args:
        crop_size: (width, height), px, or one number for both.
        max_cells: 1 or more.
        tries: places per size.

    Raises:
        CellMMError: a single pixel shows more cells.
    """

    reads = ("img", "rng", "gt_layers")
    moves_pixels = True
    removes_cells = True

    def __init__(self, *, crop_size: int | tuple[int, int], max_cells: int = 90, tries: int = 10) -> None:
        check_whole(1, max_cells=max_cells, tries=tries)
        self.crop_size = pair("LimitedCrop", "crop_size", crop_size)
        self.max_cells, self.tries = max_cells, tries

    def transform(self, results: dict) -> dict:
        rng, shape = training_rng(results, "LimitedCrop"), results["img"].shape[:2]
        layers = results["gt_layers"].layers
        size = np.minimum(self.crop_size[::-1], shape)
        while True:
            for y, x in rng.integers(0, np.subtract(shape, size) + 1, (self.tries, 2)).tolist():
                part = layers[:, y : y + size[0], x : x + size[1]]
                if np.count_nonzero(np.unique(part)) <= self.max_cells:
                    bottom, right = (int(n) for n in (y + size[0], x + size[1]))
                    return crop(results, y, x, bottom, right, step=type(self).__name__)
            if size.max() == 1:
                raise CellMMError(
                    f"{results.get('img_path')}: more than {self.max_cells} cells share a pixel; give "
                    "LimitedCrop more max_cells"
                )
            size = np.maximum((SHRINK * size).astype(int), 1)
