# The worms with branches that fork at every decoder level (sparseseunet 4.5.4) and with the score of ours
# (simulated_quality.py), which does not change the masks; else as bbbc010_cpu.py.
_base_ = ["./bbbc010_cpu.py"]
model = dict(
    decoder=dict(keep_skips=True),
    heads=dict(
        instances=dict(
            instance_branch=dict(num_levels=6),
            mask_branch=dict(num_levels=6),
            objectness=dict(type="MaskQuality"),
        )
    ),
)
