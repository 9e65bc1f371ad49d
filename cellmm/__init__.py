"""cellmm: instance segmentation of cells that overlap, cross and stretch."""

__version__ = "0.1.0"
