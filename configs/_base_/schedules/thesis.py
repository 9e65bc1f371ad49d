# sparseseunet 5.7: AdamW at 1e-5 with weight decay 1e-5, "later" 5e-5 and 0.005 (at half of the run: ours),
# 2000 epochs of 18 images in batches of 2 = 18,000 iterations, gradients of 4 batches accumulated.
max_iters = 18_000
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=1e-5, weight_decay=1e-5),
    accumulative_counts=4,
)
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
train_cfg = dict(type="IterBasedTrainLoop", max_iters=max_iters, val_interval=900)  # every 100 epochs
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
