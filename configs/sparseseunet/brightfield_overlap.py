# A decoder for overlap whose maps join those of the cells before the branches fork (sparseseunet 5.7.1,
# figure 5.9, table 5.9), at the published size.
_base_ = ["./brightfield.py"]
decoder = dict(type="SEUNetDecoder", widths=(64, 128, 256, 512))
with_targets = [
    *_base_.train_pipeline[:-1],  # all but PackCellInputs
    dict(type="SemanticTargets", targets=("overlap",)),
]
train_pipeline = [*with_targets, dict(type="PackCellInputs")]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
model = dict(
    decoder=dict(_delete_=True, type="ParallelDecoders", decoders=dict(instances=decoder, overlap=decoder)),
    heads=dict(
        instances=dict(reads=["instances", "overlap"]),
        overlap=dict(
            type="SemanticHead",
            target="overlap",
            loss=dict(type="SigmoidFocalLoss", loss_weight=50.0),  # ours, see simulated_overlap.py
        ),
    ),
)
val_evaluator = [dict(type="CellCocoMetric"), dict(type="SemanticMetric", targets=("overlap",))]
test_evaluator = val_evaluator
