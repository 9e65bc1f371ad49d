# Boundaries as values: a Gaussian bell of the distance to the contour, learned by the mean squared error
# (nuclei-notes).
_base_ = ["./boundary_2.py"]
train_pipeline = [
    *_base_.augmented,
    dict(type="SemanticTargets", targets=("cytoplasm",)),
    dict(type="BoundaryTargets", kind="bell", width=8, sigma=2.0),
    _base_.weights,
    dict(type="PackCellInputs"),
]
model = dict(
    heads=dict(boundary=dict(loss=dict(type="MSELoss"))),
    # the bell is 0.78 at the second pixel from a contour and 0.47 at the third
    postprocess=dict(boundary_thr=0.6, grow=2),
)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
