# As bbbc010_cpu.py, on simulated worms like the real ones, to begin with where few wells are annotated:
# docs/how_to/simulated_pretraining.md makes the images.
_base_ = ["./bbbc010_cpu.py"]
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
