# The quick start with a decoder for overlap beside that of the cells; their maps join before the branches
# fork (sparseseunet 5.7.1, figure 5.9).
_base_ = ["./brightfield_quickstart.py"]
decoder = dict(type="SEUNetDecoder", widths=(48, 48, 64, 96, 128))
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
            # the mean over all pixels is some hundredths of the losses of the cells, which share this decoder
            loss=dict(type="SigmoidFocalLoss", loss_weight=50.0),
        ),
    ),
)
val_evaluator = [dict(type="CellCocoMetric"), dict(type="SemanticMetric", targets=("overlap",))]
test_evaluator = val_evaluator
