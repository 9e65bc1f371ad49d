# Multi-level with a factor of ours in the score: the IoU that the mask has by its features and its own look,
# learned without changing either.
_base_ = ["./simulated_multi_level.py"]
model = dict(heads=dict(instances=dict(objectness=dict(type="MaskQuality"))))
