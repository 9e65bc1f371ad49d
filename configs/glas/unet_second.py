# The second training of unet.py (glas-report 5.3): start it with --from and the best checkpoint of the first.
# The weights are taken over, the optimizer begins anew.
_base_ = ["./unet.py"]
max_iters = 50 * 72 // 6
optim_wrapper = dict(
    _delete_=True, type="OptimWrapper", optimizer=dict(type="Adam", lr=1e-5, weight_decay=1e-3)
)
train_cfg = dict(max_iters=max_iters, val_interval=max_iters // 10)
