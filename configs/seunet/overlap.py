# Where cells overlap, by a decoder beside that of their bodies (sparseseunet 5.4): focal loss, no attention
# map. A pixel overlaps from a probability of 0.3 on.
_base_ = ["./cytoplasm.py"]
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
