# The same without installing: run with PYTHONPATH=examples/cellmm_border, where Python finds the module.
_base_ = ["./border.py"]
custom_imports = dict(imports=["cellmm_border"])
