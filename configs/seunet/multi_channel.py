# One decoder that ends in four maps (sparseseunet 4.2.2, figure 4.4b), against four decoders of their own.
_base_ = ["./cytoplasm.py"]
targets = ("cytoplasm", "nuclei", "border", "background")
model = dict(heads={name: dict(type="SemanticHead", target=name) for name in targets})
val_evaluator = [dict(type="CellCocoMetric"), dict(type="SemanticMetric", targets=targets)]
test_evaluator = val_evaluator
