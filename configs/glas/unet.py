# U-Net as published (glas-report 5), its first training, by SGD; unet_second.py goes on from its weights.
# What the report leaves open is marked "ours". For a GPU.
_base_ = ["../_base_/default_runtime.py", "../_base_/datasets/glas.py"]
# 900 times the training images in batches of 6; in the challenge's data about 72 of 85 train
max_iters = 900 * 72 // 6
model = dict(
    type="CellSegmentor",
    data_preprocessor=dict(type="CellDataPreprocessor", in_channels=3),
    encoder=dict(type="SEUNetEncoder", widths=(64, 128, 256, 512, 1024), se=False, norm="none"),
    decoder=dict(type="SEUNetDecoder", widths=(64, 128, 256, 512), se=False, norm="none", upsample="deconv"),
    # The report puts a ReLU between the last convolution and the sigmoid. It would keep every probability at
    # 0.5 or more, and the report's background is below 0.5: it is left out.
    heads=dict(glands=dict(type="SemanticHead", target="cytoplasm")),
    # The threshold alone, as published: at this neck nothing is parted, and glands are the connected
    # components. Options that the report names and does not use: neck=0.8 parts weakly connected glands,
    # min_area drops small ones.
    postprocess=dict(type="SeededWatershed", neck=1e-3),
)
# all images become 512x512 px: their proportions are kept, the rest is filled with the mean colour
resize = [
    dict(type="ResizeTo", size=(512, 512), keep_ratio=True),
    dict(type="PadTo", size=(512, 512)),
]
train_pipeline = [
    _base_.load,
    dict(type="LoadCells"),
    _base_.normalize,
    _base_.augmentation,
    *resize,
    dict(type="SemanticTargets", targets=("cytoplasm",)),
    dict(type="PackCellInputs"),
]
test_pipeline = [
    _base_.load,
    dict(type="LoadCells", keep_original=True),
    _base_.normalize,
    *resize,
    dict(type="PackCellInputs"),
]
train_dataloader = dict(
    batch_size=6,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type="DrawSampler", shuffle=True),
    dataset=dict(_base_.dataset, split="train", pipeline=train_pipeline),
)
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
val_evaluator = [
    dict(type="CellCocoMetric"),
    dict(type="GlandMetric", target="cytoplasm", prefix="glands"),
]
test_evaluator = [
    dict(type="CellCocoMetric"),
    dict(type="GlandMetric", parts=dict(A="testA_*", B="testB_*"), target="cytoplasm"),
]
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.1, weight_decay=1e-5))
param_scheduler = []
train_cfg = dict(type="IterBasedTrainLoop", max_iters=max_iters, val_interval=max_iters // 18)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
# the report watches the loss of the validation images
default_hooks = dict(checkpoint=dict(save_best="glands/BCE", rule="less"))
