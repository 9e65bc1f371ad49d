# U-Net at the size of the CPU configs: it starts at stride 2, and heads with subpixel=True give four logits
# per pixel of its finest map, so that the maps have the resolution of the image at a quarter of the work.
_base_ = ["./unet.py"]
model = dict(
    encoder=dict(widths=(24, 48, 80, 128, 160), stem_stride=2),
    decoder=dict(widths=(32, 48, 80, 128), upsample="nearest"),
)
