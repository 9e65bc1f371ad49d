# The boundary as a value, as nuclei-notes have it: mean squared error of a Gaussian bell; its sigma is ours.
_base_ = ["./boundary_paper.py"]
train_pipeline = [
    *_base_.crops,
    dict(type="BoundaryTargets", kind="bell", width=8, sigma=2.0),
    dict(type="PackCellInputs"),
]
model = dict(heads=dict(boundary=dict(loss=dict(type="MSELoss"))), postprocess=dict(boundary_thr=0.6, grow=2))
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
