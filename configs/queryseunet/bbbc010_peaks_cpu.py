# The worms with queries that begin at gateways, as those of DiskMask, and with the parts that worms share
# learned apart: to compare with diskmask/bbbc010_cpu.py at equal minutes. Not trained yet.
_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/models/queryseunet_cpu.py",
    "../_base_/datasets/bbbc010_gateways.py",
    "../_base_/schedules/cpu.py",
]
model = dict(
    heads=dict(
        instances=dict(
            num_queries=24,  # at most 15 worms in a well, half as many again
            init="peaks",
            loss_disk=dict(type="CrossEntropyLoss", loss_weight=3.0),  # as DiskMask's
            overlap_parts=True,
        )
    )
)
train_dataloader = dict(batch_size=4)
optim_wrapper = dict(type="AmpOptimWrapper", dtype="auto", optimizer=dict(lr=5e-4))
