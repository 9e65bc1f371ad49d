# The second recipe with maps at their published weight: the pair of brightfield_v2.py in the curves of the
# report.
_base_ = ["./brightfield_v2.py"]
train_pipeline = [
    *_base_.before_targets,
    dict(type="AuxiliaryMaps", targets=("center", "boundary")),
    dict(type="PackCellInputs"),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
model = dict(
    heads=dict(
        center=dict(type="AuxiliaryMapHead", name="center", weight=0.5, anneal=None),
        boundary=dict(type="AuxiliaryMapHead", name="boundary", weight=0.5, anneal=None),
    )
)
