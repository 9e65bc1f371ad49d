"""Packages: zip files with an exported model and all that it takes to run it. ``cellmm export`` writes them.

``format``: what is in them. ``read``: opens one, as data. ``graphs``: its graphs on ONNX Runtime. ``run``:
the model that has graphs in the place of its layers.
"""

from cellmm.zoo.packages.read import Package, is_package, read_package

__all__ = ["Package", "is_package", "read_package"]
