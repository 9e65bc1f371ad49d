# SEU-Net with one decoder, the cells' bodies alone: the base model of sparseseunet 5.3 (figure 4.4a). Cells
# by watershed from the middles of the bodies.
_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/models/seunet_cpu.py",
    "../_base_/datasets/simulated_nuclei.py",
    "../_base_/schedules/cpu.py",
]
max_iters = 500  # about five minutes on two CPU cores
model = dict(
    decoder=_base_.decoder,
    heads=dict(cytoplasm=dict(type="SemanticHead", target="cytoplasm")),
    postprocess=dict(type="SeededWatershed", min_area=10),  # pixels of the maps, at stride 2
)
val_evaluator = [dict(type="CellCocoMetric"), dict(type="SemanticMetric", targets=("cytoplasm",))]
test_evaluator = val_evaluator
optim_wrapper = dict(type="AmpOptimWrapper", dtype="auto")
param_scheduler = [
    dict(type="LinearLR", start_factor=0.02, by_epoch=False, begin=0, end=25),
    dict(type="CosineAnnealingLR", eta_min=1e-6, by_epoch=False, begin=25, end=max_iters),
]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
