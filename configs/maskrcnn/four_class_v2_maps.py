# The pair of four_class_v2.py in the report's curves: maps at their published weight.
_base_ = ["./four_class_maps.py"]
model = dict(decoder=dict(norm="BN"), heads=dict(instances=dict(v2=True)))
