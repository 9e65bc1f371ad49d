# The map of borders as a weight of the focal loss's pixels, eq. 5.1.
_base_ = ["./overlap_v4.py"]
model = dict(heads=dict(overlap=dict(loss=dict(type="ProximityWeightFocalLoss"))))
