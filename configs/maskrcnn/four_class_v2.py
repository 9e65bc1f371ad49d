# The same with torchvision's second recipe, the backbone of the report's curves.
_base_ = ["./four_class.py"]
model = dict(decoder=dict(norm="BN"), heads=dict(instances=dict(v2=True)))
