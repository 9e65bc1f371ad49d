# The generator alone, by squared error and cross-entropy: the autoencoder of the thesis (5.6), which learns
# where cells are and misses their fine texture.
_base_ = ["./phase_to_brightfield_cpu.py"]
model = dict(
    generator=dict(dropout=0.0),
    discriminator=None,
    losses=dict(_delete_=True, mse=dict(type="MSELoss"), bce=dict(type="BCELoss")),
)
optim_wrapper = dict(_delete_=True, type="OptimWrapper", optimizer=_base_.optimizer)
