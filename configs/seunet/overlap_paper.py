# A decoder for overlap at the published size (sparseseunet 5.4, table 5.3): focal loss, no attention map.
_base_ = ["./cytoplasm_paper.py"]
targets = ("cytoplasm", "overlap")
model = dict(
    decoder=dict(_delete_=True, type="ParallelDecoders", decoders={name: _base_.decoder for name in targets}),
    heads=dict(
        overlap=dict(
            type="SemanticHead",
            target="overlap",
            loss=dict(type="SigmoidFocalLoss"),
        )
    ),
)
val_evaluator = [dict(type="CellCocoMetric"), dict(type="SemanticMetric", targets=targets)]
test_evaluator = val_evaluator
