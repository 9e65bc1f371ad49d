# The network of sparseseunet/brightfield_quickstart.py with a second head, which learns borders, on wells in
# folders of their own.
# For `pip install -e examples/cellmm_border`: the entry point brings the classes in.
_base_ = ["../../../configs/sparseseunet/brightfield_quickstart.py"]
data_root = "data/wells"

model = dict(
    heads=dict(
        border=dict(type="BorderHead", width=2),
    )
)
train_dataloader = dict(
    dataset=dict(
        _delete_=True, type="WellDataset", data_root=f"{data_root}/train", pipeline=_base_.train_pipeline
    )
)
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type="WellDataset",
        data_root=f"{data_root}/val",
        test_mode=True,
        pipeline=_base_.test_pipeline,
    )
)
test_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type="WellDataset",
        data_root=f"{data_root}/test",
        test_mode=True,
        pipeline=_base_.test_pipeline,
    )
)
val_evaluator = [dict(type="CellCocoMetric"), dict(type="CountError", score_thr=0.3)]
test_evaluator = val_evaluator
