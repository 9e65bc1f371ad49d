# brightfield.py in 4 GB: masks learned on 12,544 points (Mask2Former's number), activations in bfloat16, the
# large ones computed again when gradients are, activation maps at stride 2 that see pixel positions.
_base_ = ["./brightfield.py"]
model = dict(
    heads=dict(
        instances=dict(
            coord_order=1,
            instance_branch=dict(level=1),
            criterion=dict(points=dict(type="UncertainPoints", num_points=12544)),
        )
    ),
    activation_checkpointing=[
        "encoder.levels.0",
        "encoder.levels.1",
        "decoder.levels.0",
        "decoder.levels.1",
        "heads.instances.instance_branch.levels.0",
        *(f"heads.instances.mask_branch.levels.0.{i}" for i in range(4)),
    ],
)
optim_wrapper = dict(type="AmpOptimWrapper", dtype="bfloat16")
