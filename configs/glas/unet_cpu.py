# A narrow U-Net with batch norm at stride 2, on a CPU. Glands are the connected components of its map.
_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/datasets/glas.py",
    "../_base_/schedules/cpu.py",
]
max_iters = 1200
model = dict(
    type="CellSegmentor",
    data_preprocessor=dict(type="CellDataPreprocessor", in_channels=3),
    encoder=dict(type="SEUNetEncoder", widths=(16, 32, 48, 64, 96, 128), stem_stride=2, se=False),
    decoder=dict(type="SEUNetDecoder", widths=(24, 32, 48, 64, 96), se=False, upsample="deconv"),
    heads=dict(glands=dict(type="SemanticHead", target="cytoplasm")),
    # at this neck nothing is parted; min_area in pixels of the map, which has a quarter of the resolution
    postprocess=dict(type="SeededWatershed", neck=1e-3, min_area=30),
)
train_pipeline = [
    _base_.load,
    dict(type="LoadCells", cache=True),
    _base_.normalize,
    _base_.augmentation,
    _base_.rescale,
    dict(type="RandomIntensity", brightness=0.1, contrast=0.2),  # ours
    dict(type="SemanticTargets", targets=("cytoplasm",)),
    dict(type="PackCellInputs"),
]
train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type="DrawSampler", shuffle=True),
    dataset=dict(_base_.dataset, split="train", pipeline=train_pipeline),
)
val_evaluator = [
    dict(type="CellCocoMetric"),
    dict(type="GlandMetric", target="cytoplasm", prefix="glands"),
]
test_evaluator = [
    dict(type="CellCocoMetric"),
    dict(type="GlandMetric", parts=dict(A="testA_*", B="testB_*"), target="cytoplasm"),
]
optim_wrapper = dict(type="AmpOptimWrapper", dtype="auto")
param_scheduler = [
    dict(type="LinearLR", start_factor=0.02, by_epoch=False, begin=0, end=50),
    dict(type="CosineAnnealingLR", eta_min=1e-6, by_epoch=False, begin=50, end=max_iters),
]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters // 2)
