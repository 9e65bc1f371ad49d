"""What a training did, read from its work dir and shown as curves and on a page."""

from cellmm.engine.training_report.page import REPORT, write_training_report
from cellmm.engine.training_report.scalars import read_scalars

__all__ = ["REPORT", "read_scalars", "write_training_report"]
