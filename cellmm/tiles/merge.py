"""Finished pieces in the place of the model, so that merging writes what predicting writes."""

import logging
from collections import Counter
from pathlib import Path

from mmengine.logging import print_log

from cellmm.apis.inferencer import CellInferencer
from cellmm.apis.large_images import LargeImages, MapAverages
from cellmm.apis.prediction import Prediction
from cellmm.errors import CellMMError
from cellmm.io.sources import ImageSource
from cellmm.messages import name_some
from cellmm.models.postprocess.join_tiles import TileCells
from cellmm.results import Instances
from cellmm.tiles.pieces import PieceReader, UnitResult, device_of, is_finished
from cellmm.tiles.plan import PiecePlan
from cellmm.tiles.run import check_model, check_unchanged


class FromPieces(LargeImages):
    """``CellInferencer.large`` that reads every image from the pieces of ``folder``.

    The model is needed for cells that no tile saw whole.

    Raises:
        CellMMError: a piece is not finished.
    """

    def __init__(self, inferencer: CellInferencer, folder: Path) -> None:
        super().__init__(inferencer)
        self.pieces = PiecePlan.read(folder)
        check_finished(folder, self.pieces)
        where = {
            (work.image, unit): number
            for number, piece in enumerate(self.pieces.pieces)
            for work in piece
            for unit in range(work.first, work.end)
        }
        self._reader = PieceReader(folder, where)
        self._numbers = {image.name: number for number, image in enumerate(self.pieces.images)}

    def plan(self, source: ImageSource) -> int:
        """The number of the image in the plan.

        Raises:
            CellMMError: it is not planned, changed since, or cannot be predicted.
        """
        number = self._numbers.get(source.name)
        if number is None or self.pieces.images[number].shape != tuple(source.shape):
            raise CellMMError(f"{source.path}: the plan is of another image: run `cellmm tiles plan` again")
        check_unchanged(self.pieces, self.pieces.images[number].file)
        if self.pieces.images[number].error is not None:
            raise CellMMError(self.pieces.images[number].error)
        return number

    def predict(self, source: ImageSource, plan: int) -> Prediction:
        """The cells and maps of image number ``plan``.

        Raises:
            CellMMError: why a piece could not predict it.
        """
        image = self.pieces.images[plan]
        if image.tiles is None:
            found = self._read(plan, 0)
            instances = None if found.masks is None else self._found(source, found)
            return Prediction(instances, found.maps, tiled=False)
        tiles, averages = image.tiles, MapAverages(image.tiles)
        gives_cells = True
        for number in range(len(tiles.grid)):
            found = self._read(plan, number)
            averages.add(number, found.maps)
            gives_cells = found.masks is not None

        def read(number: int) -> TileCells:
            found = self._read(plan, number, maps=False)
            tile = tiles.grid.tile(number)
            return TileCells.of(tile, found.masks, found.scores, found.labels, tiles.margin)

        instances = self.join(source, tiles, read) if gives_cells else None
        return Prediction(instances, averages.means(), tiled=True)

    def _read(self, image: int, unit: int, *, maps: bool = True) -> UnitResult:
        found = self._reader.read(image, unit, self.pieces.images[image].shape, maps=maps)
        if found.error is not None:
            raise CellMMError(found.error)
        return found

    def _found(self, source: ImageSource, found: UnitResult) -> Instances:
        return Instances(
            masks=found.masks,
            scores=found.scores,
            labels=found.labels,
            classes=self.inferencer.classes,
            category_ids=self.inferencer.category_ids,
            pixel_size=source.pixel_size,
            name=source.name,
        )


def check_finished(folder: Path, plan: PiecePlan) -> None:
    """Raise CellMMError where pieces of a plan are not finished, with their numbers."""
    missing = [number for number in range(len(plan.pieces)) if not is_finished(folder, number, plan.mark)]
    if missing:
        raise CellMMError(
            f"{folder}: pieces are not finished, {name_some(map(str, missing))}; run `cellmm tiles run` for "
            "them first"
        )


def read_from_pieces(inferencer: CellInferencer, folder: Path) -> None:
    """Set ``inferencer.large`` to the pieces of ``folder``.

    Raises:
        CellMMError: the model is not that of the pieces, or a piece is not finished.
    """
    large = FromPieces(inferencer, folder)
    check_model(large.pieces, inferencer)
    devices = Counter(device_of(folder, number) for number in range(len(large.pieces.pieces)))
    devices[inferencer.model.data_preprocessor.device.type] += 0  # looks again at cells that tiles cut
    if len(devices) > 1:
        counts = ", ".join(f"{number} on {device}" for device, number in sorted(devices.items()))
        print_log(
            f"{folder}: pieces were predicted on several kinds of devices ({counts}), whose results differ "
            "in the last digits; give all of them, and merge, the same --device for the bytes of one run",
            logger="current",
            level=logging.WARNING,
        )
    inferencer.large = large
