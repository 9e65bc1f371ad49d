# The same with maps of centres and boundaries beside the masks, at a small weight that falls to 0 in the
# first half of the training.
_base_ = ["./four_class_cpu.py"]
train_pipeline = [
    *_base_.before_targets,
    dict(type="AuxiliaryMaps", targets=("center", "boundary")),
    dict(type="PackCellInputs"),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
model = dict(
    heads=dict(
        center=dict(type="AuxiliaryMapHead", name="center", hidden=64),
        boundary=dict(type="AuxiliaryMapHead", name="boundary", hidden=64),
    )
)
