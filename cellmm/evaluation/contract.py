"""What validation asks of a metric."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class CellMetric(Protocol):
    """A metric, usually a ``BaseMetric`` of mmengine, which gathers the results of all ranks.

    It may state ``metric_keys``: the names of all numbers that ``evaluate`` gives, with the prefix. This is a
    sequence, a property or a method. Then ``save_best``, early stopping and schedules that watch another name
    are refused before training. ``cellmm.testing.check_metric`` tests these rules.
    """

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Take a batch: each sample is ``CellSample.to_dict()``, see docs/concepts/data_flow.md."""

    def evaluate(self, size: int) -> dict[str, float]:
        """The numbers of all ``size`` images; nan where a number is not defined, as AP without any cell."""


def metric_keys(metric: CellMetric) -> list[str] | None:
    """The names of the numbers that a metric gives; None where it does not state them."""
    stated: Sequence[str] | Callable[[], Sequence[str]] | None = getattr(metric, "metric_keys", None)
    if stated is None:
        return None
    return list(stated() if callable(stated) else stated)
