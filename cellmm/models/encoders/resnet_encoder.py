"""Residual networks of torchvision as encoders."""

from collections.abc import Callable

from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from cellmm.checks import check_whole
from cellmm.errors import CellMMError
from cellmm.models.feature_spec import feature_pyramid
from cellmm.models.layers.blocks import norm_layer
from cellmm.registry import MODELS

DEPTHS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
STAGES = ("layer1", "layer2", "layer3", "layer4")


@MODELS.register_module()
class ResNetEncoder(BaseModule):
    """A ResNet of torchvision without its classifier. Source: ResNet.

    (B, C, H, W) -> the maps of its four stages, finest first, at strides 4, 8, 16 and 32; H and W are
    multiples of the last. Parts have torchvision's names (``conv1``, ``bn1``, ``layer1`` to ``layer4``), so
    that ``load_from`` takes torchvision's files for classification and for detection, and
    ``model.frozen`` may name them.

    Args:
        in_channels: image channels.
        depth: ``'resnet18'``, ``'resnet34'``, ``'resnet50'``, ``'resnet101'`` or ``'resnet152'``.
        norm: ``'BN'``; ``'GN'``: group normalisation, for batches of one or two images; ``'frozen'``: batch
            normalisation whose numbers stay as they are loaded, as torchvision's first Mask R-CNN has it.
            From scratch it normalises nothing.
        stem_pool: False: without the pooling before the first stage, which gives maps at strides 2 to 16, for
            small or thin cells.
    """

    torchvision_names = {
        **{f"backbone.body.{part}": part for part in ("conv1.", "bn1.", *STAGES)},
        **{part: part for part in ("conv1.", "bn1.", *(f"{stage}." for stage in STAGES))},
    }

    def __init__(
        self,
        in_channels: int = 3,
        depth: str = "resnet50",
        norm: str = "BN",
        stem_pool: bool = True,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        check_whole(1, in_channels=in_channels)
        if depth not in DEPTHS:
            raise CellMMError(f"ResNetEncoder: depth is {depth!r}; choose from {', '.join(DEPTHS)}")
        from torchvision.models import (
            resnet,  # on first use: predicting with other models does without torchvision
        )

        net = getattr(resnet, depth)(weights=None, norm_layer=_norm(norm))
        self.conv1, self.bn1, self.relu = net.conv1, net.bn1, net.relu
        if in_channels != 3:
            self.conv1 = nn.Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False)
            nn.init.kaiming_normal_(self.conv1.weight, mode="fan_out", nonlinearity="relu")
        self.pool = net.maxpool if stem_pool else nn.Identity()
        for stage in STAGES:
            setattr(self, stage, getattr(net, stage))
        first = net.fc.in_features // 8
        self.out_specs = feature_pyramid([first * 2**i for i in range(4)], stride=4 if stem_pool else 2)

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.pool(self.relu(self.bn1(self.conv1(x))))
        features = []
        for stage in STAGES:
            x = getattr(self, stage)(x)
            features.append(x)
        return features

    def fuse_for_inference(self) -> None:
        """Make each batch normalisation part of the convolution before it."""
        from torchvision.ops import FrozenBatchNorm2d

        pairs = (*((f"conv{i}", f"bn{i}") for i in (1, 2, 3)), ("0", "1"))
        for part in list(self.modules()):
            for conv, bn in pairs:
                if isinstance(getattr(part, bn, None), nn.BatchNorm2d | FrozenBatchNorm2d):
                    setattr(
                        part, conv, fuse_conv_bn_eval(getattr(part, conv).eval(), getattr(part, bn).eval())
                    )
                    setattr(part, bn, nn.Identity())


def _norm(name: str) -> Callable[[int], nn.Module]:
    if name == "frozen":
        from torchvision.ops import FrozenBatchNorm2d

        return FrozenBatchNorm2d
    if name not in ("BN", "GN"):
        raise CellMMError(f"ResNetEncoder: norm is {name!r}; choose 'BN', 'GN' or 'frozen'")
    return lambda channels: norm_layer(name, channels)
