# The thesis' protocol on LIVECell (sparseseunet 5.7, table 5.8): 2 % of the training images, crops of at most
# 90 cells for 100 queries, the training of brightfield.py for 400 epochs, all test images. What the thesis
# leaves open is marked "ours".
_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/models/sparseseunet.py",
    "../_base_/datasets/livecell.py",
    "../_base_/datasets/augmentation.py",
    "../_base_/schedules/thesis.py",
]
max_iters = 13_000  # 400 epochs of 65 images in batches of 2
train_pipeline = [
    dict(type="LoadImage", color="grayscale"),
    dict(type="LoadCells"),
    _base_.normalize,  # whole images, as in tests
    dict(type="LimitedCrop", crop_size=512, max_cells=90),  # smaller where cells are crowded: ours
    _base_.augmentation,
    dict(type="PackCellInputs"),
]
train_dataloader = dict(
    batch_size=2,
    # the first of the published sets of 2 %: ours
    dataset=dict(ann_file="0_train2percent.json", pipeline=train_pipeline),
)
# images have up to thousands of cells: predicted in tiles of about the crops' size, ours
model = dict(tile=256, tile_overlap=64)
param_scheduler = [
    dict(type="MultiStepLR", by_epoch=False, milestones=[max_iters // 2], gamma=5.0),
    dict(
        type="MultiStepParamScheduler",
        param_name="weight_decay",
        by_epoch=False,
        milestones=[max_iters // 2],
        gamma=500.0,
    ),
]
train_cfg = dict(max_iters=max_iters, val_interval=1300)
# COCO's sizes, as the thesis says; those of LIVECell's authors are in livecell.py
val_evaluator = dict(area_bounds=(1024, 9216))
test_evaluator = val_evaluator
default_hooks = dict(checkpoint=dict(interval=1300, save_best="AP", rule="greater"))
