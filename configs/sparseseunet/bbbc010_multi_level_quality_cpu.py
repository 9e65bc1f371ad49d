# The worms with levels and with the score of ours (simulated_quality.py).
_base_ = ["./bbbc010_multi_level_cpu.py"]
model = dict(heads=dict(instances=dict(objectness="quality")))
