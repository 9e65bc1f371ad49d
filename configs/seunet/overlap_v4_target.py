# The map of borders in the target, y (1 - P), as eq. 4.5 is printed: overlap itself is learned the less, the
# more likely it is.
_base_ = ["./overlap_v4.py"]
model = dict(heads=dict(overlap=dict(loss=dict(type="ProximityTargetFocalLoss"))))
