"""Cells of other images pasted into an image: copy-paste between the images of a dataset."""

from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform

from cellmm.checks import check_ranges, check_share
from cellmm.datasets.transforms.cutouts import (
    background_level,
    cells_to_copy,
    cut_out,
    draw_group,
    draw_warp,
)
from cellmm.datasets.transforms.mixing import other_image, refuse_to_mix
from cellmm.datasets.transforms.pasting import check_pasting, paste_cells
from cellmm.datasets.transforms.warping import check_warp
from cellmm.registry import TRANSFORMS
from cellmm.structures import LabelLayers


@TRANSFORMS.register_module()
class CopyPaste(BaseTransform):
    """Paste cells of another image of the dataset into this one, each warped with its mask.

    The other image has gone through the steps before this one. A random group of its cells that do not
    overlap each other is taken; crowd regions and cells that its border cuts are not. Each cell is turned,
    scaled, flipped and bent, and pasted whole, at a random place where its overlap with the cells that are
    there is in range. All masks stay whole, so overlap is annotated. ``gt_areas`` of pasted cells are nan.

    In phase contrast intensities add up, the default. In brightfield they do not: models trained on pasted
    brightfield images find pasted overlaps and no real ones. ``mode='replace'`` shows that. Sources:
    sparseseunet 4.4.1 and 5.5; Copy-Paste (Ghiasi 2021). The thesis gives ``overlap`` and ``blur``; the other
    numbers are ours.

    Writes ``num_unplaced``, int: cells that fitted nowhere, or lost all pixels in the warp.

    Args:
        prob: that cells are pasted at all.
        cells: (fewest, most) that are drawn; fewer if the other image has not so many that can be copied.
        overlap: (least, most) share of the pasted cell that lies on others, see ``paste_cells``.
        blur: standard deviation of the blend beyond its outline, px; 0: none.
        mode: ``'add'`` or ``'replace'``, see ``paste_cells``.
        background: level of the image without cells, which is subtracted before intensities are added:
            ``'median'`` of the pixels outside of cells of each image and channel, or a number.
        shared: at most this share of a copied cell lies on other cells of its image.
        rotate, scale, flip, elastic_spacing, elastic_magnitude: as of RandomWarp.
        tries: random places that are tried for a cell.

    Raises CellMMError in test pipelines, before LoadCells and after steps that write targets.
    """

    reads = ("img", "gt_layers", "gt_labels", "rng", "dataset")
    writes = ("img", "gt_layers", "gt_labels", "gt_ignore", "gt_areas", "gt_nuclei", "num_unplaced")
    adds_cells = True
    mixes_images = True

    def __init__(
        self,
        *,
        prob: float = 0.5,
        cells: Sequence[int] = (1, 10),
        overlap: Sequence[float] = (0.0, 0.2),
        blur: float = 20.0,
        mode: str = "add",
        background: str | float = "median",
        shared: float = 0.2,
        rotate: Sequence[float] = (-180, 180),
        scale: Sequence[float] = (0.8, 1.25),
        flip: float = 0.5,
        elastic_spacing: float = 64.0,
        elastic_magnitude: float = 2.0,
        tries: int = 100,
    ) -> None:
        warps = dict(
            rotate=rotate,
            scale=scale,
            flip=flip,
            elastic_spacing=elastic_spacing,
            elastic_magnitude=elastic_magnitude,
        )
        check_warp(**warps)
        check_share(prob=prob, shared=shared)
        check_ranges(0, cells=cells)
        check_pasting(overlap, mode, tries)
        if blur < 0:
            raise ValueError(f"CopyPaste: blur must be at least 0 px, got {blur!r}")
        if background != "median" and not isinstance(background, (int, float)):
            raise ValueError(f"CopyPaste: background must be 'median' or a number, got {background!r}")
        self.prob, self.cells, self.blur, self.background, self.shared = prob, cells, blur, background, shared
        self.pasting = dict(overlap=tuple(overlap), mode=mode, tries=tries)
        self.warps = warps

    def transform(self, results: dict) -> dict:
        refuse_to_mix(results, self)
        results["num_unplaced"] = 0
        if results["rng"].random() < self.prob:
            self._paste(results, other_image(results, self))
        return results

    def _paste(self, results: dict, other: dict) -> None:
        rng, image, cells = results["rng"], other["img"], other["gt_layers"]
        nuclei = other.get("gt_nuclei")
        candidates = cells_to_copy(cells, shared=self.shared, outside=other.get("ignore"))
        if "gt_ignore" in other:
            candidates = candidates[~other["gt_ignore"][candidates]]
        number = int(rng.integers(self.cells[0], self.cells[1] + 1))
        group = draw_group(cells, candidates, number, rng)
        background, boxes = self._background(image, cells), cells.bboxes()
        cutouts = [
            cut_out(
                image,
                cells,
                index,
                draw_warp(rng, **self.warps),
                box=boxes[index],
                nuclei=nuclei,
                background=background,
                blur=self.blur,
            )
            for index in group
        ]
        pasted = paste_cells(
            results["img"],
            results["gt_layers"],
            cutouts,
            rng,
            nuclei=results.get("gt_nuclei"),
            **self.pasting,
        )
        results.update(img=pasted.image, gt_layers=pasted.cells, num_unplaced=pasted.num_unplaced)
        if pasted.nuclei is not None:
            results["gt_nuclei"] = pasted.nuclei
        copied = group[pasted.placed]
        for key, values in (
            ("gt_labels", other["gt_labels"][copied]),
            ("gt_ignore", np.zeros(len(copied), bool)),
            ("gt_areas", np.full(len(copied), np.nan)),
        ):
            if key in results:
                results[key] = np.concatenate([results[key], values])

    def _background(self, image: np.ndarray, cells: LabelLayers) -> np.ndarray | float:
        if self.pasting["mode"] == "replace":
            return 0.0
        return background_level(image, cells) if self.background == "median" else self.background
