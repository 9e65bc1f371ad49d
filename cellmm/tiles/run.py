"""One piece of a plan is predicted; a piece that is finished is not done again."""

from collections.abc import Iterator
from pathlib import Path

from cellmm.apis.inferencer import CellInferencer
from cellmm.apis.prediction import Prediction
from cellmm.apis.settings import settings_of
from cellmm.errors import CellMMError
from cellmm.io.sources import ImageSource
from cellmm.results.run_folder import failure_of, stamp_of
from cellmm.tiles.pieces import UnitResult, write_piece
from cellmm.tiles.plan import PiecePlan, PlannedImage, Work


def load_model(plan: PiecePlan, device: str) -> CellInferencer:
    """The model of the plan.

    Raises:
        CellMMError: the config, the checkpoint or cellmm are not those of the plan.
    """
    inferencer = CellInferencer(**plan.inferencer, device=device)
    check_model(plan, inferencer)
    return inferencer


def run_piece(folder: Path, plan: PiecePlan, inferencer: CellInferencer, number: int) -> int:
    """Predict the work of piece ``number`` and write its file; the number of units.

    An image that cannot be predicted costs that image alone: its piece says why.

    Raises:
        CellMMError: a file of the piece changed since the plan was made, or while it was read.
    """
    units = {}
    for work in plan.pieces[number]:
        image = plan.images[work.image]
        check_unchanged(plan, image.file)
        try:
            for unit, result in _predict(plan, inferencer, image, work):
                units[work.image, unit] = result
        except CellMMError as error:
            failed = UnitResult.failed(failure_of(error))
            units.update({(work.image, unit): failed for unit in range(work.first, work.end)})
        check_unchanged(plan, image.file)
    device = inferencer.model.data_preprocessor.device.type
    write_piece(folder, number, plan.mark, units, device)
    return len(units)


def check_model(plan: PiecePlan, inferencer: CellInferencer) -> None:
    """Raise CellMMError where the config, the checkpoint or cellmm are not those of the plan."""
    first, others = plan.inferencer.get("checkpoint"), plan.inferencer.get("ensemble", ())
    settings = settings_of(inferencer, first, {}, others)
    changed = [key for key in settings if settings[key] != plan.settings.get(key)]
    if changed:
        raise CellMMError(
            f"{' and '.join(changed)} changed since `cellmm tiles plan`, or not the same on this machine: "
            "plan again, or take what the plan was made with"
        )


def check_unchanged(plan: PiecePlan, file: int) -> None:
    """Raise CellMMError where a file is not what it was when the plan was made."""
    path = plan.files[file].path
    if stamp_of(path) != plan.stamps[file]:
        raise CellMMError(f"{path} changed since `cellmm tiles plan`: plan again")


def _predict(
    plan: PiecePlan, inferencer: CellInferencer, image: PlannedImage, work: Work
) -> Iterator[tuple[int, UnitResult]]:
    file = plan.files[image.file]
    source = inferencer.open(file.path, name=file.stem)[image.number]
    if image.tiles is None:
        yield 0, _whole(plan, inferencer, source)
        return
    numbers = range(work.first, work.end)
    for unit, found in inferencer.large.predict_tiles(source, image.tiles, numbers):
        maps = found.maps if plan.maps or found.cells is None else {}
        if found.cells is None:
            yield unit, _without_cells(maps)
        else:
            yield unit, UnitResult(found.cells.masks, found.cells.scores, found.cells.labels, maps)


def _whole(plan: PiecePlan, inferencer: CellInferencer, source: ImageSource) -> UnitResult:
    found: Prediction
    (found,) = inferencer.predict_prepared([inferencer.prepare(source)])
    if found.instances is None:
        return _without_cells(found.maps)
    maps = found.maps if plan.maps else {}
    return UnitResult(found.instances.masks, found.instances.scores, found.instances.labels, maps)


def _without_cells(maps: dict) -> UnitResult:
    empty = UnitResult.failed("")
    return UnitResult(None, empty.scores, empty.labels, maps)
