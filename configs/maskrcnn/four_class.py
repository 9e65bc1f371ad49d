# Mask R-CNN on cells of four classes as published (maskrcnn-report): ResNet-50 with a feature pyramid,
# elastic deformation as the only augmentation, the normalisation of ImageNet, AdamW and a cosine.
_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/models/maskrcnn.py",
    "../_base_/datasets/four_class.py",
    "../_base_/schedules/maskrcnn.py",
]
# 255 times the published mean and standard deviation
normalize = dict(type="Normalize", mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))
before_targets = [
    dict(type="LoadImage", color="rgb"),
    dict(type="LoadCells", cache=True),
    normalize,
    dict(type="Albumentations", transforms=[dict(type="ElasticTransform", alpha=30, sigma=12, p=0.3)]),
]
train_pipeline = [*before_targets, dict(type="PackCellInputs")]
test_pipeline = [
    dict(type="LoadImage", color="rgb"),
    dict(type="LoadCells", keep_original=True),
    normalize,
    dict(type="PackCellInputs"),
]
train_dataloader = dict(batch_size=2, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
model = dict(heads=dict(instances=dict(num_classes=4)))
# AP of 16 training images beside that of validation
default_hooks = dict(train_metrics=dict(type="TrainMetricsHook", number=16))
