# Three classes as nuclei-notes have them: U-Net of 64 to 1024 channels, cross-entropy, RMSprop at 1e-4, 200
# epochs, argmax, components, dilation by half the boundary. Written for a GPU. The crops of 256 px, the flips
# and turns, batches of 8 and the smallest nucleus are ours.
_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/models/unet.py",
    "../_base_/datasets/dsb2018.py",
    "../_base_/datasets/augmentation.py",
    "../_base_/schedules/cpu.py",
]
max_iters = 9975  # 200 epochs of 399 images in batches of 8
model = dict(
    heads=dict(maps=dict(type="SoftmaxHead")),
    postprocess=dict(type="ClassComponents", grow=1, min_area=12),
)
crops = [
    _base_.load,
    dict(type="LoadCells"),
    _base_.normalize,
    dict(type="Albumentations", transforms=[dict(type="RandomCrop", height=256, width=256, p=1.0)]),
    _base_.flips,
]
train_pipeline = [*crops, dict(type="BoundaryTargets", width=2), dict(type="PackCellInputs")]
test_pipeline = [
    _base_.load,
    dict(type="LoadCells", keep_original=True),
    _base_.normalize,
    dict(type="PackCellInputs"),
]
train_dataloader = dict(
    batch_size=8,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type="DrawSampler", shuffle=True),
    dataset=dict(_base_.dataset, ann_file="instances_train.json", pipeline=train_pipeline),
)
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
optim_wrapper = dict(_delete_=True, type="OptimWrapper", optimizer=dict(type="RMSprop", lr=1e-4))
param_scheduler = []
train_cfg = dict(max_iters=max_iters, val_interval=max_iters // 10)
