# Nuclei of any modality on a CPU, scaled so that they are 28 pixels across: small anchors.
_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/models/maskrcnn_cpu.py",
    "../_base_/datasets/dsb2018.py",
    "../_base_/schedules/cpu.py",
]
train_pipeline = [
    _base_.load,
    dict(type="LoadCells", cache=True),
    _base_.normalize,
    dict(type="RescaleToDiameter", diameter=_base_.diameter, scale=(0.8, 1.25)),
    dict(type="RandomWarp", size=(192, 192), centre="uniform", rotate=(-180, 180), min_area=8),
    dict(type="RandomIntensity", brightness=0.1, contrast=0.3, gamma=0.5, noise=0.05),
    dict(type="PackCellInputs"),
]
train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type="DrawSampler", shuffle=True),
    dataset=dict(_base_.dataset, ann_file="instances_train.json", pipeline=train_pipeline),
)
model = dict(
    data_preprocessor=dict(in_channels=3),
    cell_size=dict(type="DiameterFinder", diameter=_base_.diameter),
    heads=dict(
        instances=dict(
            anchor_scales=(4, 8),
            max_proposals=2000,
            # nuclei hardly overlap
            box_nms=0.5,
            test_cfg=dict(nms=dict(type="MaskNMS", iou_thr=0.3)),
        )
    ),
)
optim_wrapper = dict(type="AmpOptimWrapper", dtype="auto", optimizer=dict(lr=5e-4))
