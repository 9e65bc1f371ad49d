# Boundaries as nuclei-notes have them: one map, learned by binary cross-entropy; nuclei are the components of
# the pixels that are no boundary, but for the largest. 4 px are the best of 2, 4, 6 and 8 there.
_base_ = ["./three_class_paper.py"]
train_pipeline = [*_base_.crops, dict(type="BoundaryTargets", width=4), dict(type="PackCellInputs")]
model = dict(
    heads=dict(_delete_=True, boundary=dict(type="SemanticHead", target="boundary")),
    postprocess=dict(_delete_=True, type="BoundaryComponents", background="largest", grow=2, min_area=12),
)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
