# Real worms on a CPU. Worms are long and thin: masks of 56 x 56 squares in their boxes instead of 28 x 28.
_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/models/maskrcnn_cpu.py",
    "../_base_/datasets/bbbc010.py",
    "../_base_/schedules/cpu.py",
]
model = dict(heads=dict(instances=dict(mask_deconvs=2)))
optim_wrapper = dict(type="AmpOptimWrapper", dtype="auto", optimizer=dict(lr=5e-4))
