"""Networks of the package timm as encoders."""

from mmengine.model import BaseModule
from torch import Tensor

from cellmm.checks import check_whole
from cellmm.errors import CellMMError
from cellmm.extras import need
from cellmm.models.feature_spec import FeatureSpec
from cellmm.registry import MODELS


@MODELS.register_module()
class TimmEncoder(BaseModule):
    """A network of timm, by its name, without its classifier. timm is an optional requirement.

    (B, C, H, W) -> one map per stage, finest first, with the channels and strides that timm states; H and W
    are multiples of the coarsest stride. ``cellmm train --from`` takes timm's files for classification, and
    ``model.frozen`` may name the stages. Nothing is downloaded.

    Args:
        name: ``'resnet34'``, ``'convnext_tiny'``, ``'efficientnet_b0'``, ``'tf_efficientnetv2_s'`` ...;
            ``timm.list_models(module='convnext')`` lists them. Not all have maps at several strides.
        in_channels: image channels.
        stages: which of the maps are given, from 0 on, the finest; None: all. Of some networks layers behind
            the last of them stay and do not learn, which several processes are told by
            ``find_unused_parameters=True``.

    Raises:
        CellMMError: timm is not installed, or has no such network with maps at several strides.
    """

    def __init__(
        self,
        name: str,
        in_channels: int = 3,
        stages: tuple[int, ...] | list[int] | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        check_whole(1, in_channels=in_channels)
        timm = need("timm", "timm", "encoders of timm")
        more = {} if stages is None else dict(out_indices=tuple(stages))
        try:
            self.net = timm.create_model(
                name, pretrained=False, features_only=True, in_chans=in_channels, **more
            )
        except (RuntimeError, AttributeError, AssertionError, IndexError, TypeError, ValueError) as error:
            near = ", ".join(timm.list_models(f"*{str(name).split('_')[0]}*")[:5]) or "timm.list_models()"
            raise CellMMError(
                f"TimmEncoder: name {name!r}, stages {stages}: timm gives no maps of several strides for it "
                f"({str(error).splitlines()[0] if str(error) else type(error).__name__}); near: {near}"
            ) from error
        info = self.net.feature_info
        self.out_specs = tuple(map(FeatureSpec, info.channels(), info.reduction()))
        strides = [spec.stride for spec in self.out_specs]
        if strides != sorted(set(strides)):
            raise CellMMError(
                f"TimmEncoder: {name} has maps of the strides {strides}; choose others with stages"
            )
        self.torchvision_names = self._names_in_files()

    def _names_in_files(self) -> dict[str, str]:
        """{start of a name in a file of timm: that in this encoder}: stages.0 is stages_0 here."""
        names = {}
        for child, _ in self.net.named_children():
            stem, _, number = child.rpartition("_")
            old = f"{stem}.{number}" if stem and number.isdecimal() else child
            names[f"{old}."] = f"net.{child}."
        return names

    def forward(self, x: Tensor) -> list[Tensor]:
        return self.net(x)
