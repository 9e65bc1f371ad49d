"""The results of one program, whatever form it writes them in, as COCO results of the truth's images."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from numbers import Real
from pathlib import Path, PurePosixPath

import numpy as np

from cellmm.comparison.annotation_files import read_annotations
from cellmm.comparison.model_results import is_model, run_model
from cellmm.comparison.truth import Truth
from cellmm.errors import CellMMError
from cellmm.evaluation.metrics.image_result import image_name
from cellmm.evaluation.results_on_dataset import ImageFinder
from cellmm.io.annotations import CocoReader
from cellmm.io.coco_segmentations import check_segmentations, instance_rle
from cellmm.io.json_file import read_json
from cellmm.messages import name_some
from cellmm.structures import rle as rle_ops

ALL_OF_A_RUN = "cells.json"  # what cellmm predict writes for all images
NO_SCORES = (
    "no scores: AP ranks its cells by area, the largest first, and S, F1 and PQ count all of them; AP with "
    "scores of the program itself may be higher or lower"
)


@dataclass(frozen=True)
class ResultSet:
    """
    Args:
        name: of the program or model, as the table shows it.
        source: where the results are from.
        results: COCO results with ``image_id`` (an ``img_id`` of the truth), ``category_id``,
            ``segmentation`` (compressed RLE) and ``score``.
        has_scores: False: the scores are areas, divided by the largest.
        notes: what was assumed or left out, a line each.
    """

    name: str
    source: str
    results: list[dict] = field(repr=False)
    has_scores: bool = True
    notes: tuple[str, ...] = ()


def read_result_set(
    name: str, source: str, truth: Truth, *, layout: str | None = None, image_key: str = "well"
) -> ResultSet:
    """Read or predict the results that a user names.

    Args:
        source: a model (weights, ``CONFIG.py:WEIGHTS``, the folder of a training, a package, a shipped
            model), COCO results or annotations, a file of another program, or a folder of such files.
        layout: which annotations of a folder to take, where it holds several kinds.
        image_key: what names the image of a COCO result without ``image_id``.

    Raises:
        CellMMError: it cannot be read, belongs to none of the images, or has another size than they have.
    """
    path = Path(source)
    path = path / ALL_OF_A_RUN if (path / ALL_OF_A_RUN).is_file() else path
    if is_model(source):
        return ResultSet(name, source, run_model(source, truth))
    if not path.exists():
        raise CellMMError(f"{source}: no such file, folder or model; give NAME=RESULTS, see --help")
    results = None
    if path.suffix.lower() == ".json" and not CocoReader().recognises(path):
        results = coco_results(path)
    if results is not None:
        found, notes = _of_results(path, results, truth, image_key)
    else:
        found, notes = read_annotations(path, truth, layout=layout)
    return _with_scores(name, source, found, notes)


def coco_results(path: Path) -> list[dict] | None:
    """The list in a json, or that under its key "results"; None: it is another kind of file.

    Raises:
        CellMMError: results without masks.
    """
    content = read_json(path)
    results = content.get("results") if isinstance(content, dict) else content
    if not isinstance(results, list) or not all(isinstance(result, dict) for result in results):
        return None
    if results and not any("category_id" in result for result in results):
        return None
    if lacking := sum(not {"category_id", "segmentation"} <= set(result) for result in results):
        raise CellMMError(
            f"{path}: {lacking} of {len(results)} results lack category_id or segmentation; export masks, "
            "not boxes, as COCO results"
        )
    return results


def _of_results(
    path: Path, results: Sequence[dict], truth: Truth, image_key: str
) -> tuple[list[dict], list[str]]:
    images = ImageFinder(truth.samples, image_key)
    # YOLO writes the name beside a number that is not the img_id
    results = [r | {"image_id": str(r["file_name"])} if "file_name" in r else r for r in results]
    by_stem = _numbers_of_names(results, truth)
    found: dict[int, list[dict]] = {sample["img_id"]: [] for sample in truth.samples}
    extra: Counter = Counter()
    for result in results:
        img_id = by_stem.get(result.get("image_id")) if by_stem else images.find(result)
        if img_id is None:
            extra[str(images.stated(result))] += 1
        else:
            found[img_id].append(result)
    if extra and not any(found.values()):
        raise CellMMError(
            f"{path}: results of images {name_some(extra)}, none of the {len(truth.samples)} images of "
            f"{truth.name}: give results of these images, or the truth that they are of"
        )
    notes = []
    if extra:
        notes.append(
            f"{sum(extra.values())} results of images that the truth lacks are left out, {name_some(extra)}"
        )
    if empty := [image_name(sample) for sample in truth.samples if not found[sample["img_id"]]]:
        notes.append(
            f"{len(empty)} of {len(truth.samples)} images have no result and count as empty; COCO results do "
            f"not say whether they were predicted: {name_some(empty)}"
        )
    categories = _categories(path, results, truth)
    plain = []
    for place, sample in enumerate(truth.samples):
        of_image, shape = found[sample["img_id"]], truth.shape(place)
        problems = check_segmentations([result["segmentation"] for result in of_image], shape)
        if problems:
            wrong = [f"result {i + 1} is {text}" for i, text in problems.items()]
            raise CellMMError(f"{path}: {image_name(sample)}: {name_some(wrong, 2)}; export it again")
        for result in of_image:
            plain.append(
                dict(
                    image_id=sample["img_id"],
                    category_id=categories[result["category_id"]],
                    segmentation=instance_rle(result["segmentation"], shape),
                    score=result.get("score"),
                )
            )
    return plain, notes


def _numbers_of_names(results: Sequence[dict], truth: Truth) -> dict[int, int]:
    """{image_id: img_id} where numbers are the names of files, as YOLO writes for 0012.png; else empty."""
    numbers = {result.get("image_id") for result in results}
    if not all(type(number) is int for number in numbers):
        return {}
    if numbers <= {sample["img_id"] for sample in truth.samples}:
        return {}
    stems = {PurePosixPath(image_name(sample)).stem: sample["img_id"] for sample in truth.samples}
    named = {int(stem): img_id for stem, img_id in stems.items() if stem.isdecimal()}
    return named if len(named) == len(truth.samples) and numbers <= set(named) else {}


def _categories(path: Path, results: Sequence[dict], truth: Truth) -> dict[int, int]:
    """{category id of the results: that of the truth}."""
    known = list(truth.classes.values())
    used = {result["category_id"] for result in results}
    if wrong := [number for number in used if type(number) is not int]:
        raise CellMMError(f"{path}: category_id {wrong[0]!r}, not a whole number; export it again")
    if truth.class_agnostic or (len(known) == 1 and len(used) == 1):
        return dict.fromkeys(used, known[0])
    if used <= set(known):
        return {number: number for number in known}
    raise CellMMError(
        f"{path}: results of category_id {sorted(used - set(known))}: the ids of the classes are "
        f"{truth.classes}; number them so, or give --class-agnostic"
    )


def _with_scores(name: str, source: str, results: list[dict], notes: list[str]) -> ResultSet:
    without = sum(result["score"] is None for result in results)
    if without and without < len(results):
        raise CellMMError(
            f"{source}: {without} of {len(results)} results have no score: give each a score, or none"
        )
    if wrong := [result["score"] for result in results if without == 0 and not _is_score(result["score"])]:
        raise CellMMError(f"{source}: a result has the score {wrong[0]!r}, no number; export it again")
    if without:
        areas = rle_ops.area([result["segmentation"] for result in results]).astype(np.float64)
        for result, area in zip(results, areas.tolist(), strict=True):
            result["score"] = area / max(1.0, float(areas.max()))
        notes = [NO_SCORES, *notes]
    return ResultSet(name, source, results, not without, tuple(notes))


def _is_score(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and bool(np.isfinite(value))
