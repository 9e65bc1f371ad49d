# Real worms on two CPU cores over lunch: a narrow U-Net at stride 2, gateways in the middle of the worms'
# long axes, each decoded in a window of 192 pixels.
_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/datasets/bbbc010_gateways.py",
    "../_base_/schedules/cpu.py",
]
max_iters = 6000
model = dict(
    type="CellSegmentor",
    data_preprocessor=dict(type="CellDataPreprocessor", in_channels=1),
    # no squeeze-and-excitation: a tile of an image has to give what the whole image gives
    # masks at half resolution: no loss of AP here
    encoder=dict(type="SEUNetEncoder", widths=(24, 32, 64, 96, 128, 160), stem_stride=2, se=False),
    decoder=dict(type="SEUNetDecoder", widths=(32, 48, 64, 96, 128), se=False),
    heads=dict(
        instances=dict(
            type="GatewayHead",
            feature_channels=32,
            deco_net=dict(widths=(24, 32, 48, 64), norm="BN", padding="same", upsample="nearest"),
            fine_skip=True,
            window=96,
            train_gates=6,
            anywhere=0.17,  # one of them
            found=0.33,  # two
            train_radius=4,
            gates="peaks",
            gate_thr=0.1,
            gate_radius=3.0,
            score="quality",
            loss_disk_weight=3.0,
            loss_mask_weight=5.0,
            loss_dice_weight=1.0,
            loss_quality_weight=0.5,
            nms_thr=0.6,  # worms that cross share less
        )
    ),
)
optim_wrapper = dict(type="AmpOptimWrapper", dtype="auto")
param_scheduler = [
    dict(type="LinearLR", start_factor=0.02, by_epoch=False, begin=0, end=100),
    dict(type="CosineAnnealingLR", eta_min=1e-6, by_epoch=False, begin=100, end=max_iters),
]
train_cfg = dict(max_iters=max_iters, val_interval=1000)
