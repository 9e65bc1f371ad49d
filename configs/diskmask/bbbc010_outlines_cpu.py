# As bbbc010_cpu.py, and masks that end where a map at full resolution ends: masks at half resolution find the
# worms, but AP of worms is lost where worm ends and background begins (docs/evaluation.md, what costs AP).
_base_ = ["./bbbc010_cpu.py"]
train_pipeline = [
    *_base_.train_pipeline[:-1],
    dict(type="SemanticTargets", targets=("cytoplasm",)),
    # a worm is about 9 pixels wide: two on either side of its outline weigh three times as much
    dict(type="PixelWeights", w0=0.0, balance=False, outline=2.0, outline_reach=2),
    dict(type="PackCellInputs"),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
model = dict(
    heads=dict(outlines=dict(type="FullResolutionHead", target="cytoplasm", channels=16, weighted=True)),
    # under 0.5, as doubtful pixels at an outline are worm more often than not where a mask has them
    refine=dict(type="ForegroundAgreement", target="cytoplasm", threshold=0.35),
)
val_evaluator = [dict(type="CellCocoMetric"), dict(type="ForegroundMetric")]
test_evaluator = val_evaluator
