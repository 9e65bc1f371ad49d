"""The report of a folder of images as a page for a browser."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path

from cellmm.io.sources import ImageSource
from cellmm.registry import WRITERS
from cellmm.results.instances import Instances
from cellmm.results.report import ReportRow, write_report
from cellmm.results.writers.measured import measured


@WRITERS.register_module()
class ReportWriter:
    """``report.html``: counts, distributions, pictures, failures; its parts are not for users."""

    option = "report"
    folder = "report"
    suffix = ".npz"
    collection = "report.html"

    def write(self, path: Path, instances: Instances, source: ImageSource | None) -> Counter[str]:
        """Write what the report says about an image; see ``Writer``."""
        ReportRow.of_image(instances, source, measured(instances, source)).save(path)
        return Counter()

    def collect(
        self,
        path: Path,
        parts: Iterable[Path],
        *,
        failures: Iterable[ReportRow] = (),
        about: Mapping[str, str] | None = None,
        warnings: Sequence[str] = (),
    ) -> None:
        """Write the page.

        Args:
            failures: rows of the images that could not be used, which come last.
            about: what the page says about the run: model, config ...
            warnings: lines about the whole run.
        """
        rows = chain((ReportRow.load(part) for part in parts), failures)
        write_report(path, rows, about or {}, warnings)
