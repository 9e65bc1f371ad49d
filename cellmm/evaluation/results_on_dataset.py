"""COCO results from a file, ours or a peer's, on the images of a config."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from pathlib import Path, PurePosixPath

import numpy as np
from mmengine.config import Config
from mmengine.logging import print_log

from cellmm.errors import CellMMError
from cellmm.evaluation.functional import segmentation_scores
from cellmm.evaluation.metrics import CellCocoMetric
from cellmm.evaluation.metrics.image_result import image_name
from cellmm.io.coco_categories import category_ids
from cellmm.registry import DATASETS
from cellmm.structures import rle as rle_ops

KEPT = ("img_id", "img_path", "read_options", "ori_shape", "eval_instances")


def read_results(path: Path) -> list[dict]:
    """The list in a file, or the list under its key "results".

    Raises:
        CellMMError: the file is absent or not json, or entries lack what results need.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CellMMError(f"{path}: no json that can be read ({error})") from error
    results = content.get("results") if isinstance(content, dict) else content
    if not isinstance(results, list) or not all(
        isinstance(result, dict) and {"category_id", "segmentation", "score"} <= set(result)
        for result in results
    ):
        raise CellMMError(f"{path}: not a list of COCO results (category_id, segmentation, score)")
    return results


def load_truth(cfg: Config, split: str = "test") -> tuple[list[dict], dict]:
    """What the metric needs to know about each image of a split, by img_id, and the dataset's metainfo.

    Raises:
        CellMMError: the config has no such images, or a file is absent.
    """
    loader = cfg.get(f"{split}_dataloader")
    if not loader:
        raise CellMMError(f"{cfg.filename}: no {split}_dataloader in this config")
    dataset = DATASETS.build(loader.dataset)
    samples = []
    for i in range(len(dataset)):
        sample = dataset[i]["data_samples"].to_dict()
        samples.append({key: value for key, value in sample.items() if key in KEPT})
    return sorted(samples, key=lambda sample: sample["img_id"]), dataset.metainfo


class ImageFinder:
    """Which of the samples a COCO result is of.

    It is found by its ``image_id``, which is the ``img_id`` or, as a text, the name of the file, with or
    without its suffix and folder; without one, the image is that whose file name has the value of the
    result's ``image_key`` as a part between signs (_ - . or blank), a part that no other image has.
    """

    def __init__(self, samples: Sequence[dict], image_key: str = "well") -> None:
        self.image_key = image_key
        self.ids = {sample["img_id"] for sample in samples}
        names = [(sample["img_id"], set(_parts(Path(image_name(sample)).stem))) for sample in samples]
        self._by_name = _unique(
            (name, sample["img_id"])
            for sample in samples
            for name in {Path(image_name(sample)).name, Path(image_name(sample)).stem}
        )
        number = Counter(part for _, parts in names for part in parts)
        self._by_part = {part: img_id for img_id, parts in names for part in parts if number[part] == 1}

    def stated(self, result: Mapping) -> object:
        """What the result says about its image."""
        return result["image_id"] if "image_id" in result else result.get(self.image_key)

    def find(self, result: Mapping) -> int | None:
        """The ``img_id``, or None: the result is of none of the samples."""
        stated = self.stated(result)
        if "image_id" not in result:
            return self._by_part.get(str(stated))
        if isinstance(stated, (int, float)):
            return int(stated) if stated in self.ids else None
        path = PurePosixPath(str(stated).replace("\\", "/"))
        return self._by_name.get(path.name, self._by_name.get(path.stem))


def with_results(
    samples: Sequence[dict],
    results: Sequence[dict],
    *,
    meta: Mapping,
    image_key: str = "well",
    source: str | Path = "results",
) -> list[dict]:
    """The samples with ``pred_instances``, empty for an image without results.

    ``image_key``: see ``ImageFinder``.
    ``meta``: with the names of the ``classes``, and their ``category_ids`` where they are not 1, 2, ... .
    ``source``: the name of the results in messages.

    Raises:
        CellMMError: a result belongs to none of the images or classes, has another size, or is damaged.
    """
    classes = dict(zip(category_ids(meta), meta["classes"], strict=True))
    labels = {number: label for label, number in enumerate(classes)}
    found = {sample["img_id"]: [] for sample in samples}
    images = ImageFinder(samples, image_key)
    for result in results:
        if (img_id := images.find(result)) is None:
            raise CellMMError(
                f"{source}: a result of image {images.stated(result)!r}, none of the {len(samples)} images "
                "that it is compared with: give results of these images, or the config or split that they "
                "are of"
            )
        category, score = result["category_id"], result["score"]
        if not isinstance(category, int) or category not in classes:
            raise CellMMError(
                f"{source}: a result of image {img_id} has category_id {category!r}: the ids of the classes "
                f"are {classes}"
            )
        if not isinstance(score, Real):
            raise CellMMError(f"{source}: a result of image {img_id} has the score {score!r}, no number")
        found[img_id].append(result)
    filled = []
    for sample in samples:
        of_image = found[sample["img_id"]]
        masks = [result["segmentation"] for result in of_image]
        try:
            rle_ops.validate(masks, tuple(sample["ori_shape"])[:2])
        except CellMMError as error:
            raise CellMMError(f"{source}: results of {image_name(sample)}: {error}") from error
        predicted = dict(
            masks=masks,
            scores=np.array([result["score"] for result in of_image], np.float64),
            labels=np.array([labels[result["category_id"]] for result in of_image], np.int64),
        )
        filled.append(dict(sample, pred_instances=predicted))
    return filled


def _unique(pairs: Iterable[tuple[str, int]]) -> dict[str, int]:
    """The pairs as a dict, without the names that several images have."""
    pairs = list(pairs)
    number = Counter(name for name, _ in pairs)
    return {name: img_id for name, img_id in pairs if number[name] == 1}


def _parts(stem: str) -> list[str]:
    return [stem, *re.split(r"[_\-. ]", stem)]


def coco_metric(
    evaluator: dict | Sequence[dict] | None, *, classes: Sequence[str], score_thr: float | None = None
) -> CellCocoMetric:
    """The CellCocoMetric of a config's evaluator, or the default one, that writes no files; keys are plain.

    ``score_thr``: instead of the config's.
    """
    metrics = evaluator.get("metrics", evaluator) if isinstance(evaluator, dict) else evaluator or []
    metrics = [metrics] if isinstance(metrics, dict) else metrics
    kinds = [getattr(metric.get("type"), "__name__", str(metric.get("type"))) for metric in metrics]
    names = [kind.rpartition(".")[2] for kind in kinds]  # a name, with or without its package, or a class
    own = next((metric for metric, name in zip(metrics, names, strict=True) if name == "CellCocoMetric"), {})
    if not own:
        print_log("the config has no CellCocoMetric: its default options are used", logger="current")
    options = {key: own[key] for key in own if key not in ("type", "outfile_prefix", "prefix")}
    if score_thr is not None:
        options["score_thr"] = score_thr
    try:
        metric = CellCocoMetric(**options)
    except (TypeError, ValueError) as error:
        raise CellMMError(f"the evaluator's CellCocoMetric: {error}") from error
    metric.dataset_meta = dict(classes=classes)
    return metric


def score_samples(samples: Sequence[dict], metric: CellCocoMetric) -> tuple[dict[str, float], np.ndarray]:
    """The numbers of the metric, and S of each image, the mean over its thresholds, float64 (B,)."""
    metric.process(None, samples)
    num = len(metric.iou_thresholds)
    counts = np.array([result.total_counts(num) for result in metric.results])
    return metric.evaluate(len(samples)), segmentation_scores(counts)["S"].mean(-1)
