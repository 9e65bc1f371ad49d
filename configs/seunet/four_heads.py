# SEU-Net with four decoupled decoders (sparseseunet 4.2.3, figure 4.4c) and watershed seeded by nuclei, cut
# by borders (sparseseunet 5.7): the thesis' "SEU-Net + wtshd".
_base_ = ["./cytoplasm.py"]
targets = ("cytoplasm", "nuclei", "border", "background")
model = dict(
    decoder=dict(_delete_=True, type="ParallelDecoders", decoders={name: _base_.decoder for name in targets}),
    # the weights of eq. 4.2 are not published: 1 each
    heads={name: dict(type="SemanticHead", target=name) for name in targets},
)
val_evaluator = [dict(type="CellCocoMetric"), dict(type="SemanticMetric", targets=targets)]
test_evaluator = val_evaluator
