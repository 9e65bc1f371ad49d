"""A page for a browser that shows what was found in a folder of images."""

from cellmm.results.report.page import write_report
from cellmm.results.report.row import ReportRow

__all__ = ["ReportRow", "write_report"]
