# IdentifyPrimaryObjects as CellProfiler has it before anyone changes a setting, on the same images.
_base_ = ["./nuclei.py"]
model = dict(contrast="bright", discard_border=True)
