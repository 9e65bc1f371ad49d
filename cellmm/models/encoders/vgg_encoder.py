"""The networks of VGG, as encoders."""

from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from cellmm.checks import check_whole
from cellmm.errors import CellMMError
from cellmm.models.feature_spec import feature_pyramid
from cellmm.registry import MODELS

DEPTHS = dict(vgg11="A", vgg13="B", vgg16="D", vgg19="E")  # torchvision's letters for them
CHANNELS = (64, 128, 256, 512, 512)


@MODELS.register_module()
class VGGEncoder(BaseModule):
    """A VGG of torchvision without its classifier: the encoder of a U-Net. Source: VGG; nuclei-notes.

    (B, C, H, W) -> the map before each pooling, finest first: 64, 128, 256, 512 and 512 channels at strides
    1, 2, 4, 8 and 16; H and W are multiples of the last. Layers have torchvision's names (``features.0``
    ...), so that ``cellmm train --from`` takes torchvision's files, and ``model.frozen`` may name them.

    Args:
        in_channels: image channels.
        depth: ``'vgg11'``, ``'vgg13'``, ``'vgg16'`` or ``'vgg19'``.
        norm: ``'BN'``, torchvision's ``vgg16_bn`` and so on; ``'none'``, as published.
    """

    torchvision_names = {"features.": "features."}

    def __init__(
        self, in_channels: int = 3, depth: str = "vgg16", norm: str = "BN", init_cfg: dict | None = None
    ) -> None:
        super().__init__(init_cfg)
        check_whole(1, in_channels=in_channels)
        if depth not in DEPTHS:
            raise CellMMError(f"VGGEncoder: depth is {depth!r}; choose from {', '.join(DEPTHS)}")
        if norm not in ("BN", "none"):
            raise CellMMError(f"VGGEncoder: norm is {norm!r}; choose 'BN' or 'none'")
        from torchvision.models import (
            vgg,  # on first use: predicting with other models does without torchvision
        )

        layers = vgg.make_layers(vgg.cfgs[DEPTHS[depth]], batch_norm=norm == "BN")
        self.features = layers[:-1]  # without the last pooling
        if in_channels != 3:
            self.features[0] = nn.Conv2d(in_channels, CHANNELS[0], 3, padding=1)
        for layer in self.features:
            if isinstance(layer, nn.Conv2d):  # as torchvision does
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(layer.bias)
        self.out_specs = feature_pyramid(CHANNELS)

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = []
        for layer in self.features:
            if isinstance(layer, nn.MaxPool2d):
                maps.append(x)
            x = layer(x)
        return [*maps, x]

    def fuse_for_inference(self) -> None:
        """Make each batch normalisation part of the convolution before it."""
        for i, layer in enumerate(self.features):
            if isinstance(layer, nn.BatchNorm2d):
                self.features[i - 1] = fuse_conv_bn_eval(self.features[i - 1].eval(), layer.eval())
                self.features[i] = nn.Identity()
