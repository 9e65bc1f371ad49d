"""cellmm in a worker process of Appose: programs of the JVM and others share arrays with it."""

from cellmm.appose.worker import find_cells

__all__ = ["find_cells"]
