# As bbbc010_cpu.py, on simulated worms like the real ones, to begin with where few wells are annotated:
# docs/how_to/simulated_pretraining.md makes the images.
_base_ = ["./bbbc010_cpu.py"]
max_iters = 1000  # twenty minutes on one core
param_scheduler = [
    dict(type="LinearLR", start_factor=0.02, by_epoch=False, begin=0, end=50),
    dict(type="CosineAnnealingLR", eta_min=1e-6, by_epoch=False, begin=50, end=max_iters),
]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type="CellCocoDataset",
        data_root="data/worms_like",
        ann_file="annotations.json",
        img_dir="images",
        pipeline=_base_.train_pipeline,
    )
)
