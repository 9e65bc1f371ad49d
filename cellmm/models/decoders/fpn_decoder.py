"""The feature pyramid network of torchvision as a decoder."""

from collections.abc import Sequence

from mmengine.model import BaseModule
from torch import Tensor, nn

from cellmm.checks import check_whole
from cellmm.models.feature_spec import FeatureSpec, channels_of, specs_on
from cellmm.registry import MODELS

LEVELS = range(8)  # more than any encoder has


@MODELS.register_module()
class FPNDecoder(BaseModule):
    """Feature pyramid: each map gets what the coarser maps know. Source: FPN.

    Takes the maps of any encoder whose strides double, finest first, and gives as many with ``channels``
    channels at the same strides.

    Args:
        in_specs: of the encoder's maps, finest first.
        channels: of each map that comes out.
        norm: ``'none'``, or ``'BN'`` after each convolution, as torchvision's second Mask R-CNN may have it.
    """

    # torchvision's files before its version 0.13 do not number the layers of a block
    torchvision_names = {
        **{
            f"backbone.fpn.{blocks}.{i}.{kind}": f"fpn.{blocks}.{i}.0.{kind}"
            for blocks in ("inner_blocks", "layer_blocks")
            for i in LEVELS
            for kind in ("weight", "bias")
        },
        "backbone.fpn.": "fpn.",
    }

    def __init__(
        self,
        in_specs: Sequence[FeatureSpec],
        channels: int = 256,
        norm: str = "none",
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        check_whole(1, channels=channels)
        if norm not in ("none", "BN"):
            raise ValueError(f"FPNDecoder: norm must be 'none' or 'BN', got {norm!r}")
        norm_layer = nn.BatchNorm2d if norm == "BN" else None
        from torchvision.ops import (
            FeaturePyramidNetwork,  # on first use: predicting with other models does without torchvision
        )

        self.fpn = FeaturePyramidNetwork(list(channels_of(in_specs)), channels, norm_layer=norm_layer)
        self.out_specs = specs_on([channels] * len(in_specs), (spec.grid for spec in in_specs))

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        return list(self.fpn({str(i): level for i, level in enumerate(features)}).values())
