# DiskMask on stained cells of four types, minutes on two CPU cores.
_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/models/diskmask_cpu.py",
    "../_base_/datasets/four_class.py",
    "../_base_/schedules/cpu_short.py",
]
train_pipeline = [
    *_base_.before_targets,
    # border=0: images are not cropped, so keep cells at the image edge
    dict(type="ReferencePoints", kind="medial", stride=2, border=0, min_distance=10.0),
    dict(type="DiskTargets", radius=4, disk_weight=8.0, between_reach=4),
    dict(type="PackCellInputs"),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
model = dict(
    data_preprocessor=dict(in_channels=3),
    # the large cells are 54 px across; a window of stride 2 has 64 x 64
    heads=dict(instances=dict(num_classes=4, windows=dict(size=64))),
)
# AP of 16 training images beside that of validation
default_hooks = dict(train_metrics=dict(type="TrainMetricsHook", number=16))
