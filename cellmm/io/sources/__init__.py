"""Images of any origin, read as a whole or in parts."""

from cellmm.io.sources.base import ImageSource, ReadOptions
from cellmm.io.sources.opening import open_image, open_images

__all__ = ["ImageSource", "ReadOptions", "open_image", "open_images"]
