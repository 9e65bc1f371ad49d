"""Cells at the places where a person clicks: every click is a gateway."""

import logging
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from mmengine.logging import print_log

from cellmm.apis.inferencer import CellInferencer
from cellmm.apis.tile_plan import TilePlan
from cellmm.errors import CellMMError
from cellmm.models.heads.gateways import GatewayMaps, Gateways
from cellmm.models.postprocess.look_again import Box
from cellmm.structures import CellSample, EditableCells, LabelLayers, MaskRuns

VIEWS = 4  # parts of a large image whose features stay in memory


@dataclass(frozen=True)
class _View:
    """What the network has seen of a part of the image.

    Args:
        box: (top, left, bottom, right) in the image.
        sample: with the way from the network's pixels to those of the part.
        maps: on which gateways are opened.
        found: the gateways that the model finds itself.
    """

    box: Box
    sample: CellSample
    maps: GatewayMaps
    found: Gateways

    def cuts(self, mask: np.ndarray, corner: tuple[int, int], shape: tuple[int, int]) -> bool:
        """Whether a mask in the image reaches a border of the part that is not one of the image."""
        (top, left), (height, width) = corner, mask.shape
        return bool(
            (top <= self.box[0] and self.box[0] > 0)
            or (left <= self.box[1] and self.box[1] > 0)
            or (top + height >= self.box[2] and self.box[2] < shape[0])
            or (left + width >= self.box[3] and self.box[3] < shape[1])
        )


class InteractiveCells:
    """Add the cell under a click, remove a false one, undo.

    The features of the image are computed once, at the first click, and kept, so that a click costs only the
    decoding of a few masks. An image that the model predicts in tiles is never read whole: the tile around
    the click is, and the last four are kept.

    Args:
        inferencer: of a model whose instances come through gateways, such as ``cells-simulated``.
        image: a file, an array (H, W) or (H, W, C), or an ImageSource; one image.
        cells: those that are there already; EditableCells are edited in place. None: none is.

    Attributes:
        cells: what there is now, EditableCells.

    Raises:
        CellMMError: a model without gateways, several images, cells of another image.

    Usage::

        editor = InteractiveCells(CellInferencer("cells-simulated"), "image.tif")
        editor.add(120, 85)  # row and column
        layers = editor.cells.to_layers()
    """

    def __init__(
        self, inferencer: CellInferencer, image: Any, cells: LabelLayers | EditableCells | None = None
    ) -> None:
        model = inferencer.model
        self._name = getattr(model, "instance_head", None)
        self._head = None if self._name is None else model.heads[self._name]
        if not (hasattr(self._head, "draw_at") and hasattr(self._head.finder, "radius")):
            raise CellMMError(
                f"{inferencer.cfg.filename or 'the model'} has no gateways, and a click is one: take a model "
                "of DiskMask, such as cells-simulated or nuclei"
            )
        sources = inferencer.open(image)
        if len(sources) != 1:
            raise CellMMError(f"{sources[0].name}: {len(sources)} images in one file; give one of them")
        self._inferencer, self.source = inferencer, sources[0]
        if 0 in self.source.shape:
            raise CellMMError(f"{self.source.name}: an image of {tuple(self.source.shape)} pixels is empty")
        if cells is None:
            cells = LabelLayers.empty(*self.source.shape)
        if tuple(cells.shape) != tuple(self.source.shape):
            raise CellMMError(
                f"{self.source.name}: cells of {tuple(cells.shape)} pixels on an image of "
                f"{tuple(self.source.shape)}; give those of this image"
            )
        self.cells = cells if isinstance(cells, EditableCells) else EditableCells.of(cells)
        self._plan: TilePlan | None = None
        self._started = False
        self._views: OrderedDict[Box, _View] = OrderedDict()

    def add(self, y: int, x: int) -> int:
        """Add the cell at row ``y``, column ``x``, and return its label.

        Of the cells that the model draws there, the best that is not there yet is taken.

        Raises:
            CellMMError: outside of the image; the model draws no cell there, or only such as are there.
        """
        drawn = self.draw(y, x)
        if not drawn:
            raise CellMMError(f"the model sees no cell at row {y}, column {x}: paint it by hand")
        known = []
        for mask, corner in drawn:
            label = self.cells.same_as(mask, corner)
            if label is None:
                return self.cells.add(mask, corner)
            known.append(label)
        raise CellMMError(f"cell {known[0]} is at row {y}, column {x} already: paint others by hand")

    def remove(self, y: int, x: int) -> int:
        """See ``EditableCells.remove``."""
        return self.cells.remove(y, x)

    def undo(self) -> str:
        """See ``EditableCells.undo``."""
        return self.cells.undo()

    @torch.inference_mode()
    def draw(self, y: int, x: int) -> list[tuple[np.ndarray, tuple[int, int]]]:
        """The cells that the model draws at a pixel, whether they are there already or not, best first.

        Returns:
            the mask of each in its box, bool (h, w), and the (row, column) of the box's first pixel.
        """
        self.cells.at(y, x)  # raises outside of the image
        self._start()
        box = (0, 0, *self.source.shape) if self._plan is None else self._tile(y, x)
        model = self._inferencer.model
        with model.precision(model.data_preprocessor.device.type):
            drawn, cut = self._draw(box, y, x)
            if cut:
                drawn, cut = self._draw(self._around(y, x), y, x)
        if cut:
            print_log(
                f"{self.source.name}: the cell at row {y}, column {x} is longer than the part that is looked "
                f"at, {self._plan.tile} pixels, and is cut; set model.tile to its length or more",
                logger="current",
                level=logging.WARNING,
            )
        return drawn

    def _start(self) -> None:
        """Plan the tiles, once: it may read the whole image for its statistics."""
        if not self._started:
            large = self._inferencer.large
            self._plan = None if large is None else large.plan(self.source)
            self._started = True

    def _tile(self, y: int, x: int) -> Box:
        grid = self._plan.grid
        return grid.tile(int(grid.owner(np.array([[y, x]]))[0])).box

    def _around(self, y: int, x: int) -> Box:
        """A tile with the pixel in its middle, inside of the image."""
        step, sides = self._plan.step, []
        for place, whole in zip((y, x), self.source.shape, strict=True):
            first = max(min(place - self._plan.tile // 2, whole - self._plan.tile), 0) // step * step
            sides.append((first, min(first + self._plan.tile, whole)))
        (top, bottom), (left, right) = sides
        return top, left, bottom, right

    def _look(self, box: Box) -> _View:
        """The view of a part, computed if it is not among the last ones."""
        if box not in self._views:
            self._views[box] = self._read(box)
            if len(self._views) > VIEWS:
                self._views.popitem(last=False)
        self._views.move_to_end(box)
        return self._views[box]

    def _read(self, box: Box) -> _View:
        inferencer, model = self._inferencer, self._inferencer.model
        if self._plan is None:
            prepared = inferencer.prepare(self.source)
        else:
            prepared = inferencer.large.prepare(self.source, self._plan, box)
        batch = dict(inputs=[prepared.item["inputs"]], data_samples=[prepared.item["data_samples"]])
        batch = model.data_preprocessor(batch, False)
        (sample,) = batch["data_samples"]
        maps = self._head.read(model.head_maps(self._name, batch["inputs"], sample))
        return _View(box, sample, maps, self._head.finder.find(maps.disk_probs[0]))

    def _draw(self, box: Box, y: int, x: int) -> tuple[list[tuple[np.ndarray, tuple[int, int]]], bool]:
        """What ``draw`` gives, as seen in a part, and whether the part cuts the best of it."""
        view, (top, left) = self._look(box), box[:2]
        column, row, _ = np.linalg.inv(view.sample.to_original) @ (x - left, y - top, 1)
        found = self._head.draw_at(view.maps, view.found, (row, column)).in_original_frame(view.sample)
        masks = MaskRuns.from_rles(found.masks, view.sample.ori_shape).moved(top, left, self.source.shape)
        drawn = []
        for index in found.scores.argsort(descending=True, stable=True).tolist():
            mask, corner = masks.crop(index)
            inside = y - corner[0], x - corner[1]
            if all(0 <= at < side for at, side in zip(inside, mask.shape, strict=True)) and mask[inside]:
                drawn.append((mask, corner))
        return drawn, bool(drawn) and view.cuts(*drawn[0], self.source.shape)
