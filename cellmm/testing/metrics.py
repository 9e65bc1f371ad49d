"""The contract of metrics, tested: cellmm/evaluation/contract.py."""

import math
from numbers import Real

from cellmm.evaluation.contract import CellMetric, metric_keys
from cellmm.registry import METRICS
from cellmm.structures import CellSample
from cellmm.testing import generated
from cellmm.testing.rules import build, must_work, require

META = dict(classes=("cell",))
SETS = {
    "images with all cells found": (dict(), dict()),
    "an image without cells": (dict(cells=False), dict()),
    "an image without predictions": (dict(found=False), dict()),
    "images with neither cells nor predictions": (dict(cells=False, found=False),) * 2,
}


def check_metric(config: dict) -> None:
    """Test that a metric follows ``CellMetric``, also where nothing is annotated or nothing is found.

    Its numbers are those that its ``metric_keys`` name, and do not depend on the order of the images.

    Raises:
        CellMMError: one line that names the metric and the rule.
    """
    name, metric = build(METRICS, config)
    for method in ("process", "evaluate"):
        require(hasattr(metric, method), name, f"it must have {method}; derive it from BaseMetric")
    require(isinstance(metric, CellMetric), name, "process and evaluate must be methods")
    for what, options in SETS.items():
        samples = [generated.evaluated(img_id=i, **given) for i, given in enumerate(options, start=1)]
        with must_work(name, what):
            numbers = _evaluate(config, samples)
            turned = _evaluate(config, samples[::-1])
        require(isinstance(numbers, dict) and bool(numbers), name, "evaluate must return a dict of numbers")
        for key, value in numbers.items():
            require(
                isinstance(value, Real), name, f"{key} must be a number, also for {what}; nan if undefined"
            )
            kept = math.isclose(value, turned[key], rel_tol=1e-6) or (
                value != value and turned[key] != turned[key]
            )
            require(kept, name, f"{key} must not depend on the order of the images")
        stated = metric_keys(_built(config))
        if stated is not None:
            odd = sorted(set(stated) ^ set(numbers))
            require(
                not odd, name, f"metric_keys must name what evaluate gives, also for {what}; not so: {odd}"
            )


def _built(config: dict) -> CellMetric:
    _, metric = build(METRICS, config)
    metric.dataset_meta = META
    return metric


def _evaluate(config: dict, samples: list[CellSample]) -> dict[str, float]:
    metric = _built(config)
    for sample in samples:  # batches of one
        metric.process(data_batch=None, data_samples=[sample.to_dict()])
    return metric.evaluate(len(samples))
