# The worms with branches that fork at every decoder level, else as bbbc010_cpu.py.
_base_ = ["./bbbc010_cpu.py"]
model = dict(
    decoder=dict(keep_skips=True),
    heads=dict(instances=dict(num_levels=5)),  # of the 6 maps: activation maps start one level below masks
)
