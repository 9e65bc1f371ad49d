# Nuclei of any modality on one GPU: torchvision's second recipe at its own optimiser. Not trained yet.
_base_ = ["./dsb2018_cpu.py"]
load_from = "torchvision://maskrcnn_resnet50_fpn_v2"
max_iters = 10_000
model = dict(
    encoder=dict(depth="resnet50"),
    decoder=dict(channels=256, norm="BN"),
    heads=dict(instances=dict(v2=True, rpn_nms=0.7, roi_samples=512, box_hidden=1024, mask_hidden=256)),
    frozen=["encoder.conv1", "encoder.bn1", "encoder.layer1"],
)
train_dataloader = dict(batch_size=8, num_workers=8)
optim_wrapper = dict(
    _delete_=True, type="OptimWrapper", optimizer=dict(type="AdamW", lr=1e-4, weight_decay=1e-4)
)
param_scheduler = [dict(type="CosineAnnealingLR", eta_min=0.0, by_epoch=False, begin=0, end=max_iters)]
train_cfg = dict(max_iters=max_iters, val_interval=1000)
