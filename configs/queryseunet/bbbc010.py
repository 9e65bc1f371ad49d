# Real worms on one GPU: the decoder of Mask2Former's size, a long run. Written for a GPU; not trained yet.
_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/models/queryseunet.py",
    "../_base_/datasets/bbbc010.py",
    "../_base_/schedules/cpu.py",
]
max_iters = 30_000  # batches of 8: 4,800 times each of the 50 wells
model = dict(
    heads=dict(
        instances=dict(
            num_queries=24,  # at most 15 worms in a well, half as many again
            denoising=dict(type="DenoisingQueries", kind="masks"),
            overlap_parts=True,
        )
    )
)
train_dataloader = dict(batch_size=8, num_workers=8)
optim_wrapper = dict(type="AmpOptimWrapper", dtype="bfloat16", optimizer=dict(lr=2e-4))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.02, by_epoch=False, begin=0, end=500),
    dict(type="CosineAnnealingLR", eta_min=1e-6, by_epoch=False, begin=500, end=max_iters),
]
train_cfg = dict(max_iters=max_iters, val_interval=3000)
default_hooks = dict(checkpoint=dict(interval=1000))
