"""What models find in several views of one input, and its mean."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from cellmm.errors import CellMMError
from cellmm.models.postprocess.merge_instances import merge_instances
from cellmm.models.views import View
from cellmm.structures import CellSample, PredictedInstances


@dataclass(frozen=True)
class Look:
    """What a model finds in inputs (B, C, H, W).

    ``maps``: {target: probabilities, float32 (B, h, w)}. ``instances``: of each input; None: the model gives
    none, or they come from the maps.
    """

    maps: Mapping[str, np.ndarray]
    instances: list[PredictedInstances] | None


class Looks(Protocol):
    """A model whose predictions can be merged with others.

    ``map_strides``: {target: input pixels per pixel of the map}. ``view_step``: the sides of an input must be
    multiples of it, so that pixels of maps and masks come to lie on each other. ``tile_step``: tiles start at
    multiples of it. ``margin``: pixels at each side of an input in which no mask can lie.
    """

    map_strides: Mapping[str, int]
    view_step: int
    tile_step: int
    margin: int

    def look(self, inputs: Tensor, samples: list[CellSample]) -> Look:
        """What the model finds in inputs (B, C, H, W)."""


def look_at(
    models: Sequence[Looks], inputs: Tensor, samples: list[CellSample], views: Sequence[View]
) -> Look:
    """The mean of what the models find in the views of each input.

    Maps are averaged before any threshold, each over the models that give it. Instances of the models that
    give some are merged, see ``merge_instances``. The ``map_strides`` of the first model are those of all.
    """
    if len(models) == len(views) == 1:
        return models[0].look(inputs, samples)
    step = math.lcm(*(model.view_step for model in models))
    height, width = inputs.shape[-2:]
    inputs = F.pad(inputs, (0, -width % step, 0, -height % step))
    shape = inputs.shape[-2:]
    sums: dict[str, np.ndarray] = {}
    numbers: Counter[str] = Counter()
    found: list[list[PredictedInstances]] = [[] for _ in samples]
    for view in views:
        seen = view.of(inputs)
        theirs = samples if view == View() else _of_view(samples, seen.shape[-2:])
        for model in models:
            look = model.look(seen, theirs)
            for target, probs in look.maps.items():
                probs = view.undo(probs)
                numbers[target] += 1
                sums[target] = sums[target] + probs if target in sums else probs
            for own, instances in zip(found, look.instances or (), strict=False):
                own.append(view.undo_instances(instances, shape))
    maps = {}
    for target, total in sums.items():
        stride = models[0].map_strides[target]
        maps[target] = total[:, : -(-height // stride), : -(-width // stride)] / numbers[target]
    instances = None
    if all(found):
        instances = [own[0] if len(own) == 1 else merge_instances(own, shape) for own in found]
    return Look(maps, instances)


def _of_view(samples: list[CellSample], shape: Sequence[int]) -> list[CellSample]:
    """Samples of a view: all of its input counts as image, since padding may come first in it."""
    return [CellSample(metainfo=dict(sample.metainfo, img_shape=tuple(shape))) for sample in samples]


def check_ensemble(first: Looks, others: Sequence[Looks]) -> dict[str, int]:
    """Refuse models whose predictions cannot be merged with those of the ``first``.

    Returns:
        {target: stride} of the maps of all models, those of the first one first.

    Raises:
        CellMMError: a line that names the model and the cure.
    """
    strides = dict(first.map_strides)
    for number, other in enumerate(others):
        where, kind = f"model.ensemble.{number}", type(other).__name__
        if not hasattr(other, "look"):
            raise CellMMError(f"{where}: {kind} has no look(inputs, samples), by which models are merged")
        channels = [model.data_preprocessor.in_channels for model in (first, other)]
        if channels[0] != channels[1]:
            raise CellMMError(
                f"{where}: takes images of {channels[1]} channels, and the first model of {channels[0]}; all "
                "models of an ensemble see the same images"
            )
        if (first.postprocess is None) != (other.postprocess is None):
            raise CellMMError(
                f"{where}: one model finds cells by a head and another one in its maps, by postprocess; an "
                "ensemble needs models of one kind"
            )
        theirs = dict(other.map_strides)
        if any(strides.get(target, stride) != stride for target, stride in theirs.items()):
            raise CellMMError(
                f"{where}: gives the maps {theirs} (by their strides), and the models before {strides}; maps "
                "can only be averaged where their strides are the same"
            )
        strides |= theirs
        if getattr(other, "ensemble", ()):
            raise CellMMError(f"{where}: is an ensemble; name its models one by one")
    return strides
