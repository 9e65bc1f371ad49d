"""Results of a trained model, predicted for the comparison."""

import re
from pathlib import Path

from cellmm.comparison.truth import Truth
from cellmm.errors import CellMMError
from cellmm.io.annotations import FijiRoiReader
from cellmm.io.checkpoint_files import checkpoint_files
from cellmm.zoo.packages import is_package
from cellmm.zoo.resolve import WEIGHTS, is_config, resolve_model
from cellmm.zoo.shipped import shipped_models

_PAIR = re.compile(r"(?P<config>.+\.py):(?P<weights>.+)")  # CONFIG.py:WEIGHTS


def is_model(source: str) -> bool:
    """Whether a user who names this as results means a model that is to be run."""
    path = Path(source)
    if path.is_dir():
        return bool(checkpoint_files(path))
    if is_package(path):
        return not FijiRoiReader().recognises(path)
    is_pair = _PAIR.fullmatch(source) is not None
    by_name = (source in shipped_models() or is_config(source)) and not path.exists()
    return is_pair or path.suffix in (*WEIGHTS, ".py") or by_name


def run_model(source: str, truth: Truth) -> list[dict]:
    """COCO results of a model on the images of the truth, cells of every score.

    Raises:
        CellMMError: there is no such model or image, or its classes are not those of the truth.
    """
    from cellmm.apis.inferencer import CellInferencer  # needs torch, and the results of others do not

    pair = _PAIR.fullmatch(source)
    try:
        config, weights = resolve_model(pair["config"], pair["weights"]) if pair else resolve_model(source)
    except CellMMError as error:
        if "--checkpoint" not in str(error):  # an option of other commands
            raise
        raise CellMMError(f"{source}: a model is a config and weights; give CONFIG.py:WEIGHTS") from error
    inferencer = CellInferencer(config, weights)
    ids = _category_ids(source, inferencer.classes, truth)
    results = []
    for place, sample in enumerate(truth.samples):
        found = inferencer.predict(sample["img_path"])
        if found.masks.shape != truth.shape(place):
            raise CellMMError(
                f"{sample['img_path']} has {found.masks.shape} pixels (h, w), its annotation "
                f"{truth.shape(place)}: annotate the image that is there"
            )
        results += [
            dict(
                image_id=sample["img_id"],
                category_id=ids[label],
                segmentation=mask,
                score=score,
            )
            for mask, label, score in zip(
                found.masks.to_rles(), found.labels.tolist(), found.scores.tolist(), strict=True
            )
        ]
    return results


def _category_ids(source: str, classes: tuple[str, ...], truth: Truth) -> list[int]:
    """The category id of each label of the model."""
    known = truth.classes
    if truth.class_agnostic or len(known) == len(classes) == 1:
        return [next(iter(known.values()))] * len(classes)
    if unknown := [name for name in classes if name not in known]:
        raise CellMMError(
            f"{source}: its classes {unknown} are none of the truth's {list(known)}; give --class-agnostic"
        )
    return [known[name] for name in classes]
