"""What the metrics have in common: a result per image, gathered once from each."""

from collections.abc import Sequence
from typing import Any

from mmengine.evaluator import BaseMetric

from .image_result import check_images


class PerImageMetric(BaseMetric):
    """``process`` appends a result with ``img_id`` and ``name`` per image; ``summarize`` makes the numbers.

    ``metric_keys`` are the ``keys`` with the prefix.
    """

    default_prefix = ""  # plain keys, without mmengine's warning about a missing prefix
    size: int | None = None  # of the data set, once ``evaluate`` was called

    @property
    def keys(self) -> Sequence[str]:
        """The names of the numbers without the prefix, known before any image is evaluated."""
        raise NotImplementedError

    def summarize(self, results: list[Any]) -> dict[str, float]:
        """All numbers by key; ``results`` are sorted by ``img_id``, and each image comes once."""
        raise NotImplementedError

    @property
    def metric_keys(self) -> list[str]:
        """The names of the numbers that ``evaluate`` gives, known before any image is evaluated."""
        return [f"{self.prefix}/{key}" if self.prefix else key for key in self.keys]

    def evaluate(self, size: int) -> dict[str, float]:
        """The numbers of all ``size`` images of the data set; a missing image is an error."""
        self.size = size
        return super().evaluate(size)

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """All numbers by key, of the results of all ranks."""
        # COCO ranks predictions of equal score in this order
        results = sorted(results, key=lambda result: result.img_id)
        check_images(results, self.size)
        return self.summarize(results)
