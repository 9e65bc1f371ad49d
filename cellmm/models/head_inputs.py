"""Which of the decoder's maps each head takes."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from cellmm.errors import CellMMError
from cellmm.models.feature_spec import FeatureSpec, specs_on
from cellmm.registry import MODELS

Features = list[Tensor] | dict[str, list[Tensor]]


class HeadInputs:
    """With one decoder its maps; with ParallelDecoders those of the decoders that a head reads, concatenated
    level by level. Heads that read the image have it before these, as the finest map.

    Args:
        out_specs: of the decoder: a tuple, or {name: tuple}.
        reads: of each head by its name: a decoder's name, a list of them, or None for that of its own name.
        with_image: names of the heads that read the image, too.
        image: of the images; needed for these.

    Raises:
        CellMMError: an unknown decoder, decoders whose maps do not fit together, or one that no head reads.
    """

    def __init__(
        self,
        out_specs: Sequence[FeatureSpec] | Mapping[str, Sequence[FeatureSpec]],
        reads: Mapping[str, str | Sequence[str] | None],
        with_image: Collection[str] = (),
        image: FeatureSpec | None = None,
    ) -> None:
        self._out_specs = out_specs
        self._image = dict.fromkeys(with_image, image)
        self._parallel = isinstance(out_specs, Mapping)
        self._reads = {head: self._names(head, names) for head, names in reads.items()}
        if self._parallel:
            read = {name for names in self._reads.values() for name in names}
            if unread := sorted(set(out_specs) - read):
                raise CellMMError(
                    f"model.decoder.decoders.{unread[0]}: no head reads it; name it in reads of a head, or "
                    "leave it out"
                )

    def _names(self, head: str, reads: str | Sequence[str] | None) -> tuple[str, ...]:
        where = f"model.heads.{head}.reads"
        if not self._parallel:
            if reads is not None:
                raise CellMMError(
                    f"{where}: the model has one decoder; leave it out, or make model.decoder a "
                    "ParallelDecoders"
                )
            return ()
        if reads is None:
            reads = head
        names = (reads,) if isinstance(reads, str) else tuple(reads)
        known = f"the decoders are {sorted(self._out_specs)}"
        if not names:
            raise CellMMError(f"{where}: empty; {known}")
        for name in names:
            if name not in self._out_specs:
                raise CellMMError(f"{where}: there is no decoder {name!r}; {known}")
        if len({len(self._out_specs[name]) for name in names}) > 1:
            raise CellMMError(f"{where}: {', '.join(names)} give different numbers of maps; read one of them")
        for level in zip(*(self._out_specs[name] for name in names), strict=True):
            if len({spec.grid for spec in level}) > 1:
                places = ", ".join(
                    f"{name} at stride {spec.stride} from pixel {spec.origin}"
                    for name, spec in zip(names, level, strict=True)
                )
                raise CellMMError(
                    f"{where}: the maps of {', '.join(names)} lie differently: {places}; read one of them"
                )
        return names

    def specs(self, head: str) -> tuple[FeatureSpec, ...]:
        """Of the maps that the head takes, finest first."""
        if head in self._image:
            return (self._image[head], *self._decoded_specs(head))
        return self._decoded_specs(head)

    def _decoded_specs(self, head: str) -> tuple[FeatureSpec, ...]:
        if not self._parallel:
            return tuple(self._out_specs)
        levels = list(zip(*(self._out_specs[name] for name in self._reads[head]), strict=True))
        channels = [sum(spec.channels for spec in level) for level in levels]
        return specs_on(channels, (level[0].grid for level in levels))

    def features(self, head: str, features: Features, images: Tensor | None = None) -> list[Tensor]:
        """The maps that the head takes, of what the decoder gives for ``images`` (B, C, H, W)."""
        if head in self._image:
            if images is None:
                raise ValueError(f"the head {head!r} reads the images, and none are given")
            return [images, *self._decoded(head, features)]
        return self._decoded(head, features)

    def _decoded(self, head: str, features: Features) -> list[Tensor]:
        if not self._parallel:
            return features
        taken = [features[name] for name in self._reads[head]]
        return taken[0] if len(taken) == 1 else [torch.cat(level, 1) for level in zip(*taken, strict=True)]


def reads_image(head: Mapping[str, Any]) -> bool:
    """Whether the class of a head's config reads the image, see HeadContract."""
    kind = head.get("type")
    return getattr(MODELS.get(kind) if isinstance(kind, str) else kind, "reads_image", False)
