"""Several decoders side by side on one encoder."""

from collections.abc import Mapping, Sequence

from mmengine.model import BaseModule
from torch import Tensor, nn

from cellmm.errors import CellMMError
from cellmm.models.derive import build_derived, from_specs
from cellmm.models.feature_spec import FeatureSpec
from cellmm.registry import MODELS


@MODELS.register_module()
class ParallelDecoders(BaseModule):
    """Decoupled decoders: each takes all of the encoder's maps and shares no weight with the others.

    Encoder's maps, finest first -> {name: list of maps, finest first}; ``out_specs`` is {name: tuple}.
    Which of them a head takes is ``reads`` of its config, see CellSegmentor. Source: sparseseunet 4.2.3.

    Args:
        in_specs: of the encoder's maps, finest first.
        decoders: config of each decoder by its name, which is that of the head that takes it alone.
    """

    def __init__(
        self,
        in_specs: Sequence[FeatureSpec],
        decoders: Mapping[str, dict],
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if not decoders:
            raise CellMMError("model.decoder.decoders: empty; name one decoder or more")
        self.decoders = nn.ModuleDict(
            {
                name: build_derived(MODELS, decoder, f"model.decoder.decoders.{name}", **from_specs(in_specs))
                for name, decoder in decoders.items()
            }
        )
        self.out_specs = {name: decoder.out_specs for name, decoder in self.decoders.items()}

    def forward(self, features: list[Tensor]) -> dict[str, list[Tensor]]:
        return {name: decoder(features) for name, decoder in self.decoders.items()}
