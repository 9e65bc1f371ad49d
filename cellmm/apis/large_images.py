"""Images that are predicted tile by tile: their pixels are read as they are needed, never all at once."""

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.logging import print_log

from cellmm.apis.in_order import in_order
from cellmm.apis.prediction import Prediction, Prepared
from cellmm.apis.tile_plan import TilePlan
from cellmm.datasets.transforms.norm_statistics import NormStatistics
from cellmm.engine.trained_on import scales_of
from cellmm.errors import CellMMError
from cellmm.io.sources import ImageSource
from cellmm.io.sources.region import Region
from cellmm.models.cell_size import DiameterFinder, middle
from cellmm.models.postprocess.join_tiles import REACH, TileCells, join_tiles
from cellmm.models.postprocess.look_again import Box, best_first, look_again
from cellmm.models.postprocess.map_average import MapAverage
from cellmm.models.postprocess.tiles import Tile
from cellmm.results import Instances

if TYPE_CHECKING:
    from cellmm.apis.inferencer import CellInferencer

BLOCK = 2048  # px: side of the parts that are read for the statistics of an image
MEASURED = 2**23  # pixels in which thresholds are measured; of larger images a regular part of them
PROBES = ((256, 256), (192, 320))  # px: sizes by which a pipeline shows how it scales images
MANY_TILES = 16  # from here on the overlap follows the cells
SAMPLED = 4  # tiles that are looked at for that
ENOUGH_CELLS = 20  # in these
AHEAD = 2  # tiles that are read while the model works on another

Maps = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class TileResult:
    """What the model gives for one tile: cells in the frame of the image, None if it gives none, and maps of
    the tile."""

    cells: TileCells | None
    maps: Maps


class LargeImages:
    """Predict images in tiles, each read from its source and predicted as an image of its own.

    ``plan`` is worked out once; ``predict_tile`` may run anywhere and in any order, and ``merge`` puts the
    results together: ``predict`` does all of it.

    Args:
        inferencer: of the model; its ``tile`` or ``own_tile`` say which images are cut, and how.
    """

    def __init__(self, inferencer: "CellInferencer") -> None:
        self.inferencer = inferencer
        self._scales: dict[Any, float | None] = {}

    def plan(self, source: ImageSource) -> TilePlan | None:
        """How an image is cut; None: it is predicted whole.

        Images are predicted whole where the steps of the config do not scale all images alike (ResizeTo), or
        crop them, so that a part would not come to the model as it does in the whole image.

        Raises:
            CellMMError: cells come in another scale than in training.
        """
        inferencer, model = self.inferencer, self.inferencer.model
        tile, overlap = inferencer.tile, inferencer.tile_overlap
        own = inferencer.own_tile
        if tile is None and own is None:
            return None
        statistics, diameter = None, inferencer.diameter
        if diameter is None and (finder := getattr(model, "cell_size", None)) is not None:
            if max(source.shape) <= finder.reach:
                return None  # the model finds it in the whole image, and cuts that if need be
            statistics = self._statistics(source)
            diameter = self._find_diameter(source, finder, statistics)
        scale = self._scale(source, diameter)
        if scale is None:
            return None
        shape = tuple(side * scale for side in source.shape)
        if tile is None:
            if not inferencer.trained_on.is_exceeded_by(shape):
                return None
            tile, overlap = own
        step, margin = getattr(model, "tile_step", 1), getattr(model, "margin", 0)
        plan = TilePlan.of(source.shape, scale, tile, overlap, step=step, margin=margin)
        if len(plan.grid) == 1:
            return None
        plan = replace(plan, statistics=statistics or self._statistics(source), cell_diameter=diameter)
        plan = replace(plan, levels=self._levels(source, plan))
        if inferencer.tile is None and len(plan.grid) >= MANY_TILES:
            plan = self._with_overlap_by_cells(source, plan)
        return plan.even() if inferencer.even_tiles else plan

    def predict(
        self, source: ImageSource, plan: TilePlan, tell: Callable[[int, int], None] | None = None
    ) -> Prediction:
        """The cells and maps of an image. In memory are the cells of all tiles, as runs.

        ``tell`` is called after each tile with the number of tiles that are done, and of all.
        """
        cells, averages = [], MapAverages(plan)
        for number, result in self.predict_tiles(source, plan, range(len(plan.grid))):
            averages.add(number, result.maps)
            cells.append(result.cells)
            if tell is not None:
                tell(len(cells), len(plan.grid))
        instances = None if cells[0] is None else self.join(source, plan, cells.__getitem__)
        return Prediction(instances, averages.means(), tiled=True)

    def predict_tiles(
        self, source: ImageSource, plan: TilePlan, numbers: Iterable[int]
    ) -> Iterator[tuple[int, TileResult]]:
        """Yield the results of some tiles in order; the next ones are read while the model works."""

        def prepare(number: int) -> tuple[int, Prepared]:
            return number, self.prepare(source, plan, plan.grid.tile(number).box)

        for number, item in in_order(prepare, numbers, ahead=AHEAD):
            yield number, self._run(plan, plan.grid.tile(number), item)

    def join(self, source: ImageSource, plan: TilePlan, read: Callable[[int], TileCells]) -> Instances:
        """The cells of an image from those of its tiles, whatever order these were predicted in.

        Cells that no tile saw whole are predicted again in windows of their own, so that the model is needed
        for these.

        Args:
            read: number of a tile -> its cells. Called in the order of the tiles, for each twice.
        """
        per_row = len(plan.grid.cols)

        def read_row(row: int) -> list[TileCells]:
            return [read(number) for number in range(row * per_row, (row + 1) * per_row)]

        joined = join_tiles(plan.grid, read_row, plan.margin)
        kept, pieces = [TileCells.empty(plan.shape)], [TileCells.empty(plan.shape)]
        orphans = joined.orphans
        by_tile = np.argsort(orphans[:, 0], kind="stable")
        first = np.searchsorted(orphans[by_tile, 0], np.arange(len(plan.grid) + 1))
        for number in range(len(plan.grid)):
            cells = read(number)
            kept.append(cells.select(joined.stays[number]))
            pieces.append(cells.select(orphans[by_tile[first[number] : first[number + 1]], 1]))
        kept = TileCells.concatenate(kept)
        pieces = TileCells.concatenate(pieces).select(np.argsort(by_tile))

        def look(box: Box) -> TileCells:
            return self._run(plan, Tile(*box), self.prepare(source, plan, box)).cells

        again = look_again(kept, pieces, orphans[:, 2], look, plan.rule)
        every = kept
        if len(again.cells) or len(again.united):
            every = TileCells.concatenate([kept, again.cells, again.united])
        if len(again.united):
            print_log(
                f"{source.path or source.name}: {len(again.united)} cells are too long to be looked at in "
                "one piece, and were put together from those of tiles; set --tile (tiles are now "
                f"{plan.tile} pixels of the file) to the length of the longest cell or more",
                logger="current",
                level=logging.WARNING,
            )
        return self._instances(source, every)

    def _with_overlap_by_cells(self, source: ImageSource, plan: TilePlan) -> TilePlan:
        """Less overlap, where the cells of a few tiles are short.

        Nineteen of twenty cells that those tiles hold whole are then whole in some tile, and longer ones get
        a window of their own.
        """
        places = np.linspace(0, len(plan.grid) - 1, SAMPLED + 2).round().astype(int)[1:-1]
        lengths = [np.zeros(0)]
        for _, result in self.predict_tiles(source, plan, sorted(set(places.tolist()))):
            if result.cells is None:
                return plan
            boxes = result.cells.masks.boxes()[~result.cells.cut]
            lengths.append((boxes[:, 2:] - boxes[:, :2]).max(1, initial=0))
        lengths = np.concatenate(lengths)
        if len(lengths) < ENOUGH_CELLS:
            return plan
        length = np.percentile(lengths, 95) + 2 * (REACH + 1) + 2 * plan.margin
        overlap = max(int(np.ceil(length / plan.step)), 1) * plan.step
        return replace(plan, overlap=min(overlap, plan.overlap))

    def _instances(self, source: ImageSource, cells: TileCells) -> Instances:
        inferencer = self.inferencer
        order = best_first(cells)
        cells = cells.select(order[cells.scores[order] >= np.float32(inferencer.score_thr)])
        return Instances(
            masks=cells.masks,
            scores=cells.scores,
            labels=cells.labels,
            classes=inferencer.classes,
            category_ids=inferencer.category_ids,
            pixel_size=source.pixel_size,
            name=source.name,
        )

    def prepare(self, source: ImageSource, plan: TilePlan, box: Box) -> Prepared:
        """A part (top, left, bottom, right) of an image as the model takes it."""
        prepared = self._prepare(source, box, plan.norm_statistics, plan.cell_diameter)
        if plan.levels is not None:
            (top, left, bottom, right), (height, width) = box, plan.shape
            inner = top > 0, left > 0, bottom < height, right < width
            prepared.item["data_samples"].set_metainfo(dict(image_part=dict(levels=plan.levels, inner=inner)))
        return prepared

    def _prepare(
        self, source: ImageSource, box: Box, statistics: NormStatistics | None, diameter: float | None
    ) -> Prepared:
        more = {} if statistics is None else dict(norm_statistics=statistics.part(*box))
        if diameter is not None:
            more["cell_diameter"] = diameter
        return self.inferencer.prepare(Region(source, box), more=more, tiles=False)

    def _run(self, plan: TilePlan, tile: Tile, prepared: Prepared) -> TileResult:
        (found,) = self.inferencer.predict_prepared([prepared], whole=True)
        if found.instances is None:
            return TileResult(None, found.maps)
        masks = found.instances.masks.moved(tile.top, tile.left, plan.shape)
        cells = TileCells.of(tile, masks, found.instances.scores, found.instances.labels, plan.margin)
        return TileResult(cells, found.maps)

    def _find_diameter(self, source: ImageSource, finder: DiameterFinder, statistics: dict | None) -> float:
        """How large the cells in the middle of an image are, pixels of the file."""
        box = middle(source.shape, (finder.reach, finder.reach))
        known = None if statistics is None else NormStatistics.from_dict(statistics)
        image = self._prepare(source, box, known, None).item["inputs"]
        return finder.known(self.inferencer.find_diameter(image), source.path or source.name)

    def _scale(self, source: ImageSource, diameter: float | None) -> float | None:
        """Pixels of the network per pixel of the file; None: it differs between images or parts of them.

        ``diameter``: of the cells, as far as a step scales by it.

        Raises:
            CellMMError: the scale is not one of training.
        """
        key = source.pixel_size, source.num_channels, diameter
        if key not in self._scales:
            self._scales[key] = self._measure_scale(source, diameter)
        return self._scales[key]

    def _measure_scale(self, source: ImageSource, diameter: float | None) -> float | None:
        scales, more = [], {} if diameter is None else dict(cell_diameter=diameter)
        for shape in PROBES:
            blank = _Blank(source, shape)
            try:
                item = self.inferencer.prepare(blank, more=more, tiles=False).item
            except CellMMError:  # a step refuses so small an image; what it refuses of this one, it will say
                return None
            sample = item["data_samples"]
            matrix = np.asarray(sample.get("to_original", np.eye(3)), np.float64)
            ends = matrix @ np.array([[-0.5, -0.5, 1], [*(np.array(sample.img_shape)[::-1] - 0.5), 1]]).T
            seen = (ends[:2].min(1) <= 0.5).all() and (ends[:2].max(1) >= np.array(shape[::-1]) - 1.5).all()
            turned = abs(matrix[0, 1]) + abs(matrix[1, 0]) > 1e-6
            if turned or not seen:
                return None
            scales += scales_of(sample)
        scale = float(np.median(scales))
        if max(scales) - min(scales) > scale * 2 / min(min(PROBES)):
            return None
        if self.inferencer.checks_scale and diameter is None:
            sample.set_metainfo(dict(img_path=str(source.path or source.name)))  # what the error names
            self.inferencer.trained_on.check_scale(sample, item["inputs"].shape[-2:])
        return scale

    def _statistics(self, source: ImageSource) -> dict | None:
        """What normalises every part as the whole image, after the steps before it that move no pixel."""
        steps = self.inferencer.steps
        place = next((i for i, step in enumerate(steps) if hasattr(step, "statistics")), None)
        if place is None:
            return None
        before = [step for step in steps[:place] if not getattr(step, "moves_pixels", False)]
        found = steps[place].statistics(
            source.shape, self.blocks(source, before), str(source.path or source.name)
        )
        return found.to_dict()

    def _levels(self, source: ImageSource, plan: TilePlan) -> dict | None:
        """What a model that thresholds whole images measures in this one, in about ``MEASURED`` pixels."""
        model = self.inferencer.model
        if not hasattr(model, "measure"):
            return None
        every = math.ceil(math.sqrt(math.prod(plan.shape) / MEASURED))
        name, values = str(source.path or source.name), []
        for box in _blocks(plan.shape):
            part = self._prepare(source, box, plan.norm_statistics, plan.cell_diameter).item["inputs"]
            values.append(model.grey(part, name)[::every, ::every].ravel())
        return asdict(model.measure(np.concatenate(values)[None], name))

    def blocks(
        self, source: ImageSource, steps: Sequence[BaseTransform]
    ) -> Iterator[tuple[int, int, np.ndarray]]:
        """(top, left, pixels (h, w, C)) of parts that cover the image, after ``steps``."""
        for box in _blocks(source.shape):
            results = self.inferencer.load_image(dict(img_source=Region(source, box), img_id=1))
            for step in steps:
                results = step(results)
            yield *box[:2], results["img"]


def _blocks(shape: Sequence[int]) -> Iterator[Box]:
    """Boxes of at most ``BLOCK`` pixels per side that cover an image (H, W)."""
    height, width = shape
    for top in range(0, height, BLOCK):
        for left in range(0, width, BLOCK):
            yield top, left, min(top + BLOCK, height), min(left + BLOCK, width)


@dataclass(frozen=True)
class _Blank(Region):
    """An image of zeros like ``source``, of another shape."""

    @property
    def name(self) -> str:
        return str(self.source.path or self.source.name)

    def __init__(self, source: ImageSource, shape: tuple[int, int]) -> None:
        super().__init__(source, (0, 0, *shape))

    def read(self, top: int, left: int, bottom: int, right: int) -> np.ndarray:
        return np.zeros((bottom - top, right - left, self.num_channels), self.dtype)

    def read_all(self) -> np.ndarray:
        return self.read(*self.box)


class MapAverages:
    """The maps of an image, each the mean of the tiles that cover a pixel, in temporary files."""

    def __init__(self, plan: TilePlan) -> None:
        self.plan = plan
        self.maps: dict[str, MapAverage] = {}

    def add(self, number: int, maps: Maps) -> None:
        tile = self.plan.grid.tile(number)
        for name, probs in maps.items():
            if name not in self.maps:
                self.maps[name] = MapAverage(self.plan.shape, on_disk=True)
            self.maps[name].add(probs, tile.top, tile.left)

    def means(self) -> Maps:
        return {name: self.maps.pop(name).mean() for name in list(self.maps)}
