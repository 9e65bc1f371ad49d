"""Trained models for other programs: ONNX, torch.export and bioimage.io, in packages that cellmm can run too.

``graphs``: the parts of a model that become graphs. ``files``: a graph as an ONNX or a .pt2 file, compared
with the layers that it was made of. ``package``: the zip file. ``page``: its page.
"""

from cellmm.export.package import Exported, export_model

__all__ = ["Exported", "export_model"]
