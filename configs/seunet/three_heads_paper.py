# Three decoders at the published size: bodies, borders and background (sparseseunet 4.2.3, table 5.1).
_base_ = ["./cytoplasm_paper.py"]
targets = ("cytoplasm", "border", "background")
model = dict(
    decoder=dict(_delete_=True, type="ParallelDecoders", decoders={name: _base_.decoder for name in targets}),
    heads={name: dict(type="SemanticHead", target=name) for name in targets},
)
val_evaluator = [dict(type="CellCocoMetric"), dict(type="SemanticMetric", targets=targets)]
test_evaluator = val_evaluator
