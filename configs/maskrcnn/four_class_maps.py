# The same with maps of centres and boundaries at their published weight, 0.5 from the first step to the last.
_base_ = ["./four_class.py"]
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
