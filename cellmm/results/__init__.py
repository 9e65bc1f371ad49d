"""What was found in an image, and the files that other programs read it from."""

from cellmm.results.instances import Instances

__all__ = ["Instances"]
