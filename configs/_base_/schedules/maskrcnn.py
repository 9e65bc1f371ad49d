# AdamW 1e-4, weight decay 1e-4 and a cosine to 0, as published (maskrcnn-report), which gives no number of
# epochs: 10,000 iterations are ours.
max_iters = 10_000
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="AdamW", lr=1e-4, weight_decay=1e-4))
param_scheduler = [dict(type="CosineAnnealingLR", eta_min=0.0, by_epoch=False, begin=0, end=max_iters)]
train_cfg = dict(type="IterBasedTrainLoop", max_iters=max_iters, val_interval=1000)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
