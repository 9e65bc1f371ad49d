# Four decoders at the published size (sparseseunet 4.2.3, figure 4.4c): with the watershed, the thesis'
# "SEU-Net + wtshd".
_base_ = ["./cytoplasm_paper.py"]
targets = ("cytoplasm", "nuclei", "border", "background")
model = dict(
    decoder=dict(_delete_=True, type="ParallelDecoders", decoders={name: _base_.decoder for name in targets}),
    heads={name: dict(type="SemanticHead", target=name) for name in targets},
)
val_evaluator = [dict(type="CellCocoMetric"), dict(type="SemanticMetric", targets=targets)]
test_evaluator = val_evaluator
