"""Images of any origin, read as a whole or in parts."""

from cellmm.io.sources.base import ImageSource, ReadOptions

__all__ = ["ImageSource", "ReadOptions"]
