# Multi-level with the thesis' IoU-aware objectness, by mean squared error (sparseseunet 5.7.3, eq. 5.2, 5.3).
_base_ = ["./simulated_multi_level.py"]
model = dict(heads=dict(instances=dict(objectness=dict(type="IoUObjectness"))))
