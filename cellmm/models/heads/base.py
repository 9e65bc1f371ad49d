"""What a model asks of its heads and of its postprocess. No base class is needed.

``CellSegmentor`` passes a head those of these arguments that its constructor declares: ``in_specs`` (tuple of
FeatureSpec, the maps that the head takes, finest first), ``in_channels`` (their channels, tuple) and
``stride`` (int, input pixels per pixel of the finest map).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Protocol, runtime_checkable

import numpy as np
from torch import Tensor, nn

from cellmm.models.feature_spec import FeatureSpec
from cellmm.structures import CellSample, PredictedInstances


@runtime_checkable
class Head(Protocol):
    """A head that learns; ``cellmm.testing.check_head`` tests the rules.

    ``features``: the decoder's maps, float (B, C, h, w), finest first, with the padding of the batch at the
    bottom and right. ``samples``: one CellSample per image, not padded.
    """

    def loss(self, features: list[Tensor], samples: list[CellSample]) -> dict[str, Tensor]:
        """Dict of scalar tensors; values whose key contains ``loss`` are summed. Images may have no cells.

        With several heads, keys are prefixed with the head's name: ``border.loss_dice``.
        """


@runtime_checkable
class InstanceHead(Head, Protocol):
    """A head that finds cells; ``model.instance_head`` names it."""

    def predict(self, features: list[Tensor], samples: list[CellSample]) -> list[PredictedInstances]:
        """One entry per image: the instances in network-input coordinates; may be empty."""


@runtime_checkable
class MapHead(Head, Protocol):
    """A head that outputs probability maps, part of ``pred_semantic`` of a sample.

    ``target``: the name of its only map, or ``targets``: the names of K maps; each name belongs to one head
    of a model. ``targets_of`` reads either.
    """

    def predict_maps(self, features: list[Tensor]) -> Tensor:
        """Probabilities, float in [0, 1], at the stride of ``out_spec``, see HeadContract.

        (B, h, w) with ``target``, (B, K, h, w) in the order of ``targets`` without it.

        The first pixel of the map is that of the input: ``out_spec.origin`` must be 0.
        """


@runtime_checkable
class Postprocess(Protocol):
    """Turns the maps of one image into instances, such as SeededWatershed; built from TASK_UTILS.

    ``needs_maps``: a tuple, targets of the required MapHeads; an optional attribute, default: none.
    """

    def __call__(self, maps: Mapping[str, np.ndarray]) -> PredictedInstances:
        """Maps by target, float32 (h, w) in [0, 1], without padding -> the instances in them."""


@runtime_checkable
class Refinement(Protocol):
    """Corrects the instances of one image by its maps, such as ForegroundAgreement; built from TASK_UTILS.

    It is ``model.refine``: heads, views and the models of an ensemble have found their instances and maps.

    ``needs_maps``: as of Postprocess.
    """

    def __call__(
        self, found: PredictedInstances, maps: Mapping[str, np.ndarray], strides: Mapping[str, int]
    ) -> PredictedInstances:
        """The instances as they become, best first, and always on the same grid.

        Args:
            found: best first; on any grid of the same image.
            maps: by target, float32 (h, w) in [0, 1], without padding.
            strides: by target, input pixels per pixel of the map.
        """


class OwnsParts(Protocol):
    """A head, or a part, that builds configurable parts of its own by ``models.derive.build_part``.

    Both attributes are optional and belong to the class, so that a config can be checked before anything is
    built. ``heads.parts`` has the contracts of the parts of cellmm's heads.

    Attributes:
        default_parts: {name of a part: type that its config has unless it states one}, such as
            ``{"activation": "InstanceActivation"}``.
        part_arguments: {name of a part: names of the arguments that this class gives to it}, such as
            ``{"activation": ("in_channels", "num_queries")}``. A part gets those that its constructor names;
            configs leave them out.
    """

    default_parts: Mapping[str, str]
    part_arguments: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, kw_only=True)
class HeadContract:
    """Optional attributes of a head, with their defaults.

    Args:
        needs: {key of a training sample: the steps that write it}, such as ``{"gt_disks": "DiskTargets before
            PackCellInputs"}``. Training stops before its first step where a key is missing.
        num_classes: cells of class ``num_classes`` or above are refused before training; None: not checked.
        num_queries: maximum number of cells per image; None: unlimited.
        out_spec: stride and origin of its output; None: those of the finest map that it takes.
        target, targets: of a MapHead; where training samples have ``gt_semantic``, it must hold these maps.
        reads_image: ``features`` start with the image (B, C, H, W), as the finest map at stride 1; so do
            ``in_specs``. An attribute of the class, since the head is built by it.
        score_thrs: {key in the head's config: scores at or below which it finds nothing}, such as
            ``{"test_cfg.score_thr": 0.05}``; named to a user whose training finds nothing.
    """

    needs: Mapping[str, str] = field(default_factory=dict)
    num_classes: int | None = None
    num_queries: int | None = None
    out_spec: FeatureSpec | None = None
    target: str | None = None
    targets: tuple[str, ...] = ()
    reads_image: bool = False
    score_thrs: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, head: nn.Module) -> "HeadContract":
        """Read the contract from a built head."""
        return cls(
            **{item.name: getattr(head, item.name) for item in fields(cls) if hasattr(head, item.name)}
        )


def targets_of(head: nn.Module) -> tuple[str, ...]:
    """The names of the maps that a head gives; empty: it gives none."""
    stated = HeadContract.of(head)
    return tuple(stated.targets) if stated.target is None else (stated.target,)


def sides(size: int) -> tuple[int, int]:
    """Rows and columns of an example of HeadExport, more rows or more columns by turns.

    Examples:
        >>> sides(1), sides(2)
        ((2, 1), (2, 3))
    """
    return (size + size % 2, size + 1 - size % 2)


@dataclass(frozen=True, kw_only=True)
class HeadExport:
    """What graphs compute for a head in an exported model; ``predict`` may use weights nowhere else.

    A head that has such a form gives it as its attribute ``export``. In an exported model, ``forward``
    returns what the graph of the whole network gave, and ``graphs``, a dict of the head, has a graph in the
    place of each of ``calls``.

    Args:
        outputs: takes from what ``forward`` gives the part that ``predict`` reads, in the same form: tensors
            in nested dicts and lists.
        maps: indices of the maps that ``predict`` reads itself.
        calls: {name: what else ``predict`` calls, tensors (or lists of them) -> a tensor or a tuple}.
        examples: {name: (number, size) -> arguments by their names}, for each of ``calls``: ``number``
            entries in the first axis of each tensor; ``size``, from 1, is how large the maps are, see
            ``sides``.
        results: {name: names of what it returns}.
        multiples: {name: {argument: what the last two sides of this tensor are multiples of}}.
    """

    outputs: Callable[[Any], Any] = field(default=lambda outputs: outputs)
    maps: tuple[int, ...] = ()
    calls: Mapping[str, Callable] = field(default_factory=dict)
    examples: Mapping[str, Callable[[int, int], dict[str, Any]]] = field(default_factory=dict)
    results: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    multiples: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
