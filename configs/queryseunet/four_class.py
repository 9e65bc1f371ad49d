# QuerySEUNet on stained cells of four types, on two CPU cores. Not trained yet.
_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/models/queryseunet_cpu.py",
    "../_base_/datasets/four_class.py",
    "../_base_/schedules/cpu_short.py",
]
model = dict(
    data_preprocessor=dict(in_channels=3),
    heads=dict(instances=dict(num_classes=4, num_queries=64)),
)
optim_wrapper = dict(optimizer=dict(lr=5e-4))
# AP of 16 training images beside that of validation
default_hooks = dict(train_metrics=dict(type="TrainMetricsHook", number=16))
