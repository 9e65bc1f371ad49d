# A ResNet, a head that groups pixels by the centre they point at, outlines of Fiji and AJI, all in one model.
_base_ = ["../../../configs/sparseseunet/brightfield_quickstart.py"]
data_root = "data/fiji"
custom_imports = dict(imports=["cellmm_offsets"])

train_pipeline = [
    *_base_.train_pipeline[:-1],
    dict(type="OffsetTargets"),
    dict(type="PackCellInputs", keys=("gt_offsets",)),
]
dataset = dict(_delete_=True, type="FijiDataset")
test = dict(dataset, data_root=f"{data_root}/test", pipeline=_base_.test_pipeline, test_mode=True)
train_dataloader = dict(dataset=dict(dataset, data_root=f"{data_root}/train", pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(test, data_root=f"{data_root}/val"))
test_dataloader = dict(dataset=test)
model = dict(
    encoder=dict(_delete_=True, type="FourMapResNet"),
    decoder=dict(widths=(48, 48, 64, 96)),
    heads=dict(instances=dict(_delete_=True, type="OffsetHead")),
)
val_evaluator = [dict(type="CellCocoMetric"), dict(type="AJIMetric")]
test_evaluator = val_evaluator
