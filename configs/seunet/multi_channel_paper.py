# One decoder that ends in four maps, at the published size (sparseseunet 4.2.2, figure 4.4b).
_base_ = ["./cytoplasm_paper.py"]
targets = ("cytoplasm", "nuclei", "border", "background")
model = dict(heads={name: dict(type="SemanticHead", target=name) for name in targets})
val_evaluator = [dict(type="CellCocoMetric"), dict(type="SemanticMetric", targets=targets)]
test_evaluator = val_evaluator
