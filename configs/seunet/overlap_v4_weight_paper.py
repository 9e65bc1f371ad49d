# overlap_v4_weight.py at the published size (sparseseunet table 5.3).
_base_ = ["./overlap_v4_paper.py"]
model = dict(heads=dict(overlap=dict(loss=dict(type="ProximityWeightFocalLoss"))))
