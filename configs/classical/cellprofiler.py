# IdentifyPrimaryObjects as CellProfiler has it before anyone changes a setting, on the same images.
_base_ = ["./nuclei.py"]
model = dict(
    diameter=(10, 40),
    threshold=dict(_delete_=True),
    declumping=dict(_delete_=True),
    contrast="bright",
    discard_border=True,
)
